"""Supervise the stack: start its services in order, restart a service that ends, and leave no process behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from infra.services import Service, SetupError, listens

HEALTHY_WITHIN: Final = 180.0
PORT_FREE_WITHIN: Final = 10.0
STOPPED_WITHIN: Final = 20.0
FIRST_RESTART: Final = 1.0
LONGEST_RESTART: Final = 30.0
WELL_AFTER: Final = 60.0
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36


class StopRequested(BaseException):
    """A signal asked the stack to end."""


class Supervisor:
    """Runs the services of a stack."""

    def __init__(self, services: list[Service], logs: Path) -> None:
        self._services = services
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, ready: Path) -> None:
        """Start all services, create the file `ready`, restart ended services until SIGTERM or SIGINT, then end all.

        Raises:
            SetupError: A service did not come up.
        """
        adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        try:
            for service in self._services:
                self._start(service)
            ready.touch()
            say("ready")
            self._watch()
        except StopRequested:
            say("stopping")
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            ready.unlink(missing_ok=True)
            self._end()
            say("stopped")

    def _start(self, service: Service) -> None:
        say(f"{service.name}: starting")
        wait_for_port(service)
        service.prepare()
        with (self._logs / f"{service.name}.log").open("ab") as log:
            process = subprocess.Popen(
                service.command,
                env=service.environment,
                user=service.user,
                cwd=service.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self._running[service.name] = process
        began = time.monotonic()
        while not service.healthy():
            if process.poll() is not None:
                raise SetupError(f"{service.name} ended with status {process.returncode}; see {log.name}")
            if time.monotonic() - began > HEALTHY_WITHIN:
                raise SetupError(f"{service.name} does not answer after {HEALTHY_WITHIN:.0f} s; see {log.name}")
            time.sleep(0.2)
        service.set_up()
        say(f"{service.name}: healthy after {time.monotonic() - began:.1f} s")

    def _watch(self) -> None:
        """Restart ended services; after each short life a service waits twice as long."""
        waits = dict.fromkeys(self._running, FIRST_RESTART)
        began = dict.fromkeys(self._running, time.monotonic())
        while True:
            for service in self._services:
                process = self._running[service.name]
                if process.poll() is None:
                    continue
                say(f"{service.name}: ended with status {process.returncode}, again in {waits[service.name]:.0f} s")
                lasted = time.monotonic() - began[service.name]
                waits[service.name] = FIRST_RESTART if lasted > WELL_AFTER else waits[service.name]
                time.sleep(waits[service.name])
                waits[service.name] = min(2 * waits[service.name], LONGEST_RESTART)
                with contextlib.suppress(SetupError):
                    self._start(service)
                began[service.name] = time.monotonic()
            reap(known={process.pid for process in self._running.values()})
            time.sleep(0.5)

    def _end(self) -> None:
        """End the services, the last first, and then their remaining child processes."""
        for service in reversed(self._services):
            process = self._running.get(service.name)
            if process is None or process.poll() is not None:
                continue
            process.send_signal(service.stop)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOPPED_WITHIN)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            say(f"{service.name}: stopped with status {process.returncode}")
        self._end_the_rest()
        for service in self._services:
            service.clean_up()

    def _end_the_rest(self) -> None:
        """End processes that services have started and not ended, such as runs of the worker."""
        for number, seconds in ((signal.SIGTERM, STOPPED_WITHIN), (signal.SIGKILL, STOPPED_WITHIN)):
            deadline = time.monotonic() + seconds
            for pid in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while list(descendants(os.getpid())) and time.monotonic() < deadline:
                reap(known=set())
                time.sleep(0.1)


def wait_for_port(service: Service) -> None:
    """Wait until a service's port is free: an earlier process of the service may take a moment to end.

    Raises:
        SetupError: Another program keeps the port.
    """
    deadline = time.monotonic() + PORT_FREE_WITHIN
    while service.port is not None and listens(service.port):
        if time.monotonic() > deadline:
            raise SetupError(
                f"{service.name}: port {service.port} is taken by another program; end it, or choose another port with "
                "STACK_PREFECT_PORT, STACK_S3_PORT, STACK_RAY_PORT, STACK_EVENTS_PORT or STACK_POSTGRES_PORT"
            )
        time.sleep(0.2)


def adopt_orphans() -> None:
    """Become the new parent of each descendant whose parent ends, so no descendant is lost."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """Let the kernel end this process when its parent is gone, even if the parent was killed."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def reap(*, known: set[int]) -> None:
    """Collect the exit statuses of ended children, except `known` processes of services."""
    for pid in children(os.getpid()):
        if pid not in known:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def descendants(pid: int) -> Iterator[int]:
    """Yield the living descendants of a process, each after its own descendants."""
    for child in children(pid):
        yield from descendants(child)
        yield child


def children(pid: int) -> list[int]:
    """Return the child processes of `pid`, including ended children whose exit status is not collected yet."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def stop(number: int, frame: FrameType | None) -> None:
    """End the stack by an exception, which lets `run` end its services.

    Raises:
        StopRequested: Always.
    """
    raise StopRequested


def say(text: str) -> None:
    """Write a line to the stack's own log."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
