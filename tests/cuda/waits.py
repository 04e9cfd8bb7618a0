"""How often a program waits for a GPU, by CUDA's own account of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from tests.other_device import traffic

SAID: Final = "called a synchronizing CUDA operation"


@contextmanager
def waited(device: torch.device) -> Iterator[list[str]]:
    """Note each line of ours that waits for the device while this is entered, copies to it that block included.

    torch tells of waits by warnings; those inside of libraries, such as cuFFT's for its plans, it does not know of.
    """
    if device.type != "cuda":
        found = list[str]()
        with traffic() as counted:
            yield found
        found += counted.waits + counted.uploads
        return
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        lines = list[str]()

        def note(message: Warning | str, *_: Any, **__: Any) -> None:
            if SAID in str(message):
                lines.append(_line())

        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode("default")


def _line() -> str:
    """Return the innermost line of deqir that is being run."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        path = Path(frame.f_code.co_filename)
        if "deqir" in path.parts and "tests" not in path.parts:
            return f"{path.name}:{frame.f_lineno} {frame.f_code.co_name}"
    return "elsewhere"
