"""Fixtures of the flows' tests: a Prefect server and the command line as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.flows.live import Api
from tests.processes import ROOT, free_port, python

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Prefect talks to one real server of these tests."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for_answer(f"{url}/health", server)
        yield environment
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for_answer(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the server is up; the tests' time limit is the bound."""
    while True:
        assert server.poll() is None, f"the Prefect server ended with {server.returncode}"
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)


@pytest.fixture(scope="module")
def api(prefect_environment: dict[str, str]) -> Iterator[Api]:
    """The server of the tests, which Prefect in this process talks to, too."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = prefect_environment["PREFECT_API_URL"]
    with temporary_settings({PREFECT_API_URL: url}):
        yield Api(url)


@pytest.fixture
def deqir(prefect_environment: dict[str, str]) -> Command:
    """Runs the command line as a process of its own: deqir("restore", ...)."""

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return python(*command(*arguments)[1:], env=prefect_environment | environment)

    return run


def command(*arguments: str | Path) -> list[str]:
    """The command line of `deqir`, whatever is on the path."""
    return [sys.executable, "-c", "from flows.cli import main; main()", *(str(each) for each in arguments)]


def quick(prior: str) -> list[str | Path]:
    """Options of `deqir restore` for a few steps in this process."""
    task = ["--task", "sr", "--scale", "2", "--on-doubt", "write"]  # doubtful: drawn pictures are no photographs
    return ["--prior", prior, *task, "--steps", "3", "--executor", "local"]


def one_line(run: subprocess.CompletedProcess[str]) -> str:
    """The only line on standard error of a run that ended with status 2."""
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.strip().splitlines()
    return line
