"""The temporary folder in which an import is tried, near its final place; later imports remove it after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = ".importing-"
YOUNG: Final = 60.0
"""Seconds for a new folder to be locked by its import; until then it is not removed."""


@contextmanager
def trial_folder(near: Path) -> Iterator[Path]:
    """Yield an empty temporary folder inside `near`, after removing the folders of killed imports there."""
    remove_left_over(near)
    with tempfile.TemporaryDirectory(dir=near, prefix=PREFIX, ignore_cleanup_errors=True) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # without locks on this filesystem nothing is locked, and nothing removed
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(descriptor)


def remove_left_over(near: Path) -> None:
    """Remove the folders of killed imports: folders without a lock and older than `YOUNG` seconds."""
    for folder in near.glob(f"{PREFIX}*"):
        with suppress(OSError):
            _remove_unless_held(folder)


def _remove_unless_held(folder: Path) -> None:
    """Remove a folder unless it is locked or young.

    Raises:
        OSError: The folder is locked, is gone, or is no folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(descriptor).st_mtime > YOUNG:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
