"""Processes of their own, and ports for them, for the tests."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
"""The root of the repository."""


def python(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; returns how it ended and what it wrote."""
    command, quiet = [sys.executable, *map(str, arguments)], subprocess.DEVNULL
    return subprocess.run(command, env=env, cwd=cwd, stdin=quiet, capture_output=True, text=True, check=False)


def free_ports(count: int) -> list[int]:
    """Return ports that are free at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_port() -> int:
    return free_ports(1)[0]
