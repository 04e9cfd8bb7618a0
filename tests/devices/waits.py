"""Counts how often a program waits for its device: by CUDA's own account, or by the stand-in's."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from tests.other_device import Traffic, traffic

SAID: Final = "called a synchronizing CUDA operation"


@contextmanager
def waited(device: torch.device) -> Iterator[Traffic]:
    """Note each line of ours that waits for the device while this is entered.

    On CUDA the waits include copies to the device that block, and nothing is known of other copies. torch tells of
    waits by warnings, but not of waits inside of libraries, such as cuFFT's for its plans.
    """
    if device.type != "cuda":
        with traffic() as counted:
            yield counted
        return
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        counted = Traffic()

        def note(message: Warning | str, *_: Any, **__: Any) -> None:
            if SAID in str(message):
                counted.waits.append(_line())

        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield counted
        finally:
            torch.cuda.set_sync_debug_mode("default")


def of_rounds(waits: list[str]) -> list[str]:
    """Return the waits without those of the last step, which looks at each image at its end as often as it corrects."""
    return [wait for wait in waits if "last_step.py" not in wait]


def _line() -> str:
    """Return the innermost line of deqir that is being run."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        path = Path(frame.f_code.co_filename)
        if "deqir" in path.parts and "tests" not in path.parts:
            return f"{path.name}:{frame.f_lineno} {frame.f_code.co_name}"
    return "elsewhere"
