"""Run the whole product on a single machine, without containers: python -m infra.stack up | down | status.

The stack is an object store, a Prefect server with its database, Ray, a worker and the receiver of storage events.
Ports and folder come from STACK_... variables; see infra/settings.py.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from infra.services import SetupError, services
from infra.settings import BUCKET, DEPLOYMENT, HOST, Settings, settings, write_private
from infra.supervisor import Supervisor, say

UP_WITHIN: Final = 600.0
DOWN_WITHIN: Final = 180.0


def main(arguments: list[str]) -> int:
    """Run the command of the command line; return the exit status."""
    match arguments:
        case ["up"]:
            return up(settings())
        case ["down"]:
            return down(settings())
        case ["status"]:
            return status(settings())
        case ["hold"]:
            return hold(settings())
        case _:
            print(__doc__, file=sys.stderr)
            return 2


def up(stack: Settings) -> int:
    """Start the stack and return when all services answer; else print the end of the log and return 1."""
    if holder(stack) is not None:
        print(f"the stack in {stack.folder} is up already")
        return status(stack)
    stack.logs.mkdir(parents=True, exist_ok=True)
    ready(stack).unlink(missing_ok=True)
    with (stack.logs / "stack.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.stack", "hold"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (stack.folder / "pid").write_text(f"{process.pid} {began(process.pid)}")
    deadline = time.monotonic() + UP_WITHIN
    try:
        while not ready(stack).exists():
            if process.poll() is not None or time.monotonic() > deadline:
                end = Path(log.name).read_text(errors="replace").splitlines()[-15:]
                print(f"the stack did not come up; the end of {log.name}:", *end, sep="\n", file=sys.stderr)
                down(stack)
                return 1
            time.sleep(0.2)
    except KeyboardInterrupt:
        down(stack)
        return 130
    lines = [f"export {name}={shlex.quote(value)}" for name, value in stack.shown.items()]
    write_private(stack.folder / "environment.sh", "\n".join([*lines, ""]))
    return status(stack)


def hold(stack: Settings) -> int:
    """Run the supervisor of the stack in this process; return the exit status."""
    try:
        Supervisor(services(stack), stack.logs).run(ready(stack))
    except SetupError as error:
        say(f"error: {error}")
        return 1
    return 0


def down(stack: Settings) -> int:
    """End the stack and return when all its processes are gone."""
    pid = holder(stack)
    if pid is None:
        print("the stack is not up")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_WITHIN
    while holder(stack) is not None:
        if time.monotonic() > deadline:
            print(f"process {pid} does not end; see {stack.logs / 'stack.log'}", file=sys.stderr)
            return 1
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)
    (stack.folder / "pid").unlink(missing_ok=True)
    print("the stack is down")
    return 0


def status(stack: Settings) -> int:
    """Print the addresses of the stack and return 0 if it is up, else 1."""
    if holder(stack) is None or not ready(stack).exists():
        print("the stack is not up; start it with make stack")
        return 1
    for line in (
        f"pages of Prefect   http://{HOST}:{stack.prefect}",
        f"object store       http://{HOST}:{stack.s3}, bucket {BUCKET}",
        f"Ray                {HOST}:{stack.ray}",
        f"events             http://{HOST}:{stack.events}/healthz",
        f"logs               {stack.logs}",
        f"use it             . {stack.folder / 'environment.sh'}",
        f"restore            put images below s3://{BUCKET}/in; runs of {DEPLOYMENT} write s3://{BUCKET}/out",
        "end it             make stack-down",
    ):
        print(line)
    return 0


def ready(stack: Settings) -> Path:
    """Return the path of the file that exists while the stack is up."""
    return stack.folder / "ready"


def holder(stack: Settings) -> int | None:
    """Return the id of the supervisor's process; None if it has ended."""
    try:
        pid, start = (stack.folder / "pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if began(int(pid)) == start else None


def began(pid: int) -> str | None:
    """Return the start time of a process, as a later process may have the same id; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
