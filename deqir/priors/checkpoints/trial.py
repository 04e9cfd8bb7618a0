"""The folder in which an import is tried, near its place; that of an import that was killed is taken away later."""

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
"""Seconds in which a folder that nobody holds yet may be about to be."""


@contextmanager
def trial_folder(near: Path) -> Iterator[Path]:
    """Give an empty folder in another one that is gone in the end, after taking away what dead imports left there."""
    remove_left_over(near)
    with tempfile.TemporaryDirectory(dir=near, prefix=PREFIX, ignore_cleanup_errors=True) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # where the filesystem has no locks, nobody gets one, and nothing is taken away
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(descriptor)


def remove_left_over(near: Path) -> None:
    """Take away the folders of imports that were killed: nobody holds them, and they are no longer young."""
    for folder in near.glob(f"{PREFIX}*"):
        with suppress(OSError):
            _remove_unless_held(folder)


def _remove_unless_held(folder: Path) -> None:
    """Take a folder away.

    Raises:
        OSError: It is held, is gone, or is no folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(descriptor).st_mtime > YOUNG:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
