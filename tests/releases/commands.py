"""Runs commands of `deqir` one after another in one process, which imports torch and Prefect once."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SAME_ARITHMETIC: Final = {
    "OMP_NUM_THREADS": "1",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
}
"""Variables for torch to round alike on every x86-64, whatever it can do beyond SSE 4.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of a command."""

    exit_status: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> Any:
        """The printed JSON."""
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The command line `deqir`: run("status", "s3://bucket/out", "--json")."""

    process: subprocess.Popen[str]

    def __call__(self, *arguments: str) -> Done:
        """Run a command to its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(arguments)}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the process of the command {' '.join(arguments)} died"
        return Done(**json.loads(answer))


@contextmanager
def command_line(environment: Mapping[str, str]) -> Iterator[CommandLine]:
    """Start the process and end it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.releases.commands"],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield CommandLine(process)
        assert process.stdin is not None
        process.stdin.close()


def serve() -> None:
    """Read commands from standard input, a line each, and answer each with a line."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    import boto3
    from typer.testing import CliRunner

    from flows.cli import app

    boto3.session.Session = cache(boto3.session.Session)  # else each of a command's clients reads a megabyte of JSON

    for line in sys.stdin:
        done = CliRunner().invoke(app, json.loads(line))
        logging.getLogger().handlers.clear()
        unexpected = done.exception if not isinstance(done.exception, SystemExit) else None
        trace = "".join(traceback.format_exception(unexpected)) if unexpected else ""
        answer = {"exit_status": done.exit_code, "stdout": done.stdout, "stderr": done.stderr + trace}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
