"""Being somebody whom permissions bind, whoever runs the tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def without_privileges() -> Iterator[Path]:
    """Give a folder of a user whom permissions bind, as they do not bind root, while being that user."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        user = os.geteuid()
        if user == 0:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            for path in Path(folder).rglob("*"):
                path.chmod(0o700)
            Path(folder).chmod(0o700)
            os.seteuid(user)
