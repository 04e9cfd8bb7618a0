"""A stack as of `make stack`, with its own ports and folder, for tests which kill parts of it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.flows.live import Api, Process, descendants, process, within
from tests.processes import ROOT, python

IN_COMMAND = {
    "postgres": "bin/postgres -D",
    "prefect-server": "prefect server start",
    "seaweedfs": "weed",
    "ray": "ray start --head",
    "worker": "prefect worker start",
    "receiver": " watch --deployment",
}


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack.

    Attributes:
        folder: Its folder.
        variables: The variables of its configuration and for a shell.
    """

    folder: Path
    variables: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | dict(self.variables) | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    @property
    def api(self) -> Api:
        return Api(self.variables["PREFECT_API_URL"])

    @property
    def events(self) -> str:
        return f"http://127.0.0.1:{self.variables['STACK_EVENTS_PORT']}"

    @property
    def holder(self) -> int:
        return int((self.folder / "pid").read_text().split()[0])

    def s3(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
        )

    def service(self, name: str) -> Process:
        """Wait for the process of a service, and return it."""
        found = list[Process]()

        def look() -> bool:
            found[:] = [
                each
                for each in descendants(self.holder)
                if each.parent == self.holder and IN_COMMAND[name] in each.name
            ]
            return len(found) == 1

        within(60, look, f"{name} to be there")
        return found[0]

    def kill(self, name: str) -> Process:
        """Kill a service; the stack starts it again."""
        killed = self.service(name)
        os.kill(killed.pid, signal.SIGKILL)
        within(10, lambda: not killed.alive, f"{name} to be gone")
        return killed

    def log(self, name: str) -> str:
        return (self.folder / "logs" / f"{name}.log").read_text()


def stack_command(command: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command of `make stack` or `make stack-down`."""
    return python("-m", "infra.stack", command, env=os.environ | dict(variables) | {"OMP_NUM_THREADS": "1"})


def configuration(folder: Path, prior: str, *job: str) -> dict[str, str]:
    """Return the variables of a stack in `folder`, with options for its deployment."""
    base = free_ports(10)
    task = ("--task", "sr", "--scale", "2")
    options = (*task, "--prior", prior, "--shard-size", "4", "--device", "cpu", "--actors", "1", *job)
    return {
        "STACK_FOLDER": str(folder),
        "STACK_PREFECT_PORT": str(base + 5),
        "STACK_S3_PORT": str(base),
        "STACK_RAY_PORT": str(base + 6),
        "STACK_EVENTS_PORT": str(base + 7),
        "STACK_POSTGRES_PORT": str(base + 8),
        "STACK_CPUS": "2",
        "STACK_JOB": shlex.join(options),
    }


def free_ports(count: int) -> int:
    """Return the first of `count` free ports in a row; the ports from 20 above it are free, too."""
    for base in range(23000 + os.getpid() % 1000, 32000, 50):
        try:
            for port in (*range(base, base + count), *range(base + 20, base + 26)):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("no free ports")


def shown(folder: Path) -> dict[str, str]:
    """Return a stack's variables for a shell."""
    lines = (folder / "environment.sh").read_text().splitlines()
    return dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def stack(tiny_prior: str) -> Iterator[Stack]:
    """The module's stack, with a check for processes left over at its end."""
    folder = Path(tempfile.mkdtemp(prefix="stack-", dir="/var/tmp"))
    folder.chmod(0o755)
    variables = configuration(folder, tiny_prior, "--steps", "20")
    run = stack_command("up", variables)
    assert run.returncode == 0, run.stdout + run.stderr
    running = Stack(folder, variables | shown(folder))
    below = [each for each in (process(running.holder), *descendants(running.holder)) if each is not None]
    try:
        yield running
    finally:
        below += descendants(running.holder)
        run = stack_command("down", variables)
    assert run.returncode == 0, run.stdout + run.stderr
    assert not [each for each in below if each.alive]
    shutil.rmtree(folder)
