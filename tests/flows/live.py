"""A real server, real workers and real Ray clusters as tests see them: over the API, and in the process table."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.processes import free_port

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Api:
    """A Prefect server over its API, as the pages of its interface use it."""

    url: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        for wait in (0.2, 1, 5, 0):
            try:
                # verify: of plain HTTP no certificates are read
                answer = httpx.request(method, f"{self.url}{path}", json=body, timeout=60, verify=False)
            except httpx.TimeoutException:
                if method != "GET" or not wait:  # a busy server may have done the other requests
                    raise
                continue
            if answer.status_code != 503 or not wait:  # SQLite, while somebody else writes
                break
            time.sleep(wait)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/deployments/name/restore-archive/{name}")
        return found

    def start(self, deployment: str, **job: Any) -> str:
        """Start a run, with some fields of the job changed; returns its id."""
        known = self.deployment(deployment)
        body = {"parameters": {"job": known["parameters"]["job"] | job}} if job else {}
        run: str = self.call("POST", f"/deployments/{known['id']}/create_flow_run", body)["id"]
        return run

    def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/flow_runs/{run}")
        return found

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The runs of a deployment that a server was told to start or has started, the first first."""
        body = {
            "deployments": {"id": {"any_": [self.deployment(deployment)["id"]]}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 200,
        }
        found: list[dict[str, Any]] = self.call("POST", "/flow_runs/filter", body)
        return found

    def cancel(self, run: str) -> None:
        """What the button Cancel of a run's page does."""
        state = {"type": "CANCELLING", "name": "Cancelling"}
        self.call("POST", f"/flow_runs/{run}/set_state", {"state": state})

    def ended(self, run: str, *, seconds: float) -> dict[str, Any]:
        """The run, once it has ended."""
        found = dict[str, Any]()

        def ended() -> bool:
            found.update(self.run(run))
            return found["state_type"] in ENDED

        within(seconds, ended, f"run {run} to end")
        return found

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a run, by what their keys begin with."""
        body = {"artifacts": {"flow_run_id": {"any_": [run]}}, "limit": 100}
        return {each["key"].split("-")[0]: each for each in self.call("POST", "/artifacts/filter", body)}

    def logs(self, run: str) -> list[dict[str, Any]]:
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        found: list[dict[str, Any]] = self.call("POST", "/logs/filter", body)
        return found

    def task_runs(self, run: str) -> list[str]:
        body = {"flow_runs": {"id": {"any_": [run]}}, "limit": 200}
        return sorted(each["name"] for each in self.call("POST", "/task_runs/filter", body))


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """One process, told from a later one with the same number by when it started."""

    pid: int
    parent: int
    began: str
    name: str

    @property
    def alive(self) -> bool:
        found = process(self.pid)
        return found is not None and found.began == self.began


def process(pid: int) -> Process | None:
    """A process that is there and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        name = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else Process(pid=pid, parent=int(fields[1]), began=fields[19], name=name)


def descendants(pid: int) -> list[Process]:
    """Every living process below one."""
    known = [process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    found, parents = list[Process](), {pid}
    while below := [each for each in known if each is not None and each.parent in parents]:
        found += below
        parents = {each.pid for each in below}
    return found


def actors(below: int) -> list[Process]:
    """The actors of ours among the descendants of a process."""
    return [each for each in descendants(below) if each.name.startswith("ray::ShardActor")]


def within(seconds: float, true: Callable[[], object], what: str, *, every: float = 0.2) -> float:
    """Wait until something is true; returns the seconds it took, fails after `seconds`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"waited {seconds:.0f} s for {what}"
        time.sleep(every)
    return time.monotonic() - began


@contextlib.contextmanager
def started(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own; at the end all of the session is gone."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        below = descendants(running.pid)
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        for each in below:
            if each.alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)


@contextlib.contextmanager
def worker(environment: Mapping[str, str], pool: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process worker of a pool, which is made as `deqir deploy` makes it, that looks for work every second."""
    api = Api(environment["PREFECT_API_URL"])
    if pool not in {each["name"] for each in api.call("POST", "/work_pools/filter", {})}:
        api.call("POST", "/work_pools/", {"name": pool, "type": "process", "concurrency_limit": 1})
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
    settings = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_LEVEL": "INFO"}
    with started(command, {**environment, **settings}, folder / "worker.log") as running:
        yield running


@contextlib.contextmanager
def ray_head(
    environment: Mapping[str, str], folder: Path, *options: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a Ray cluster that is none of ours; gives its address and the process that holds it."""
    port = free_port()
    command = [
        *(str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address", "127.0.0.1", "--port", str(port), "--include-dashboard", "false"),
        *("--num-cpus", "4", "--num-gpus", "0", "--object-store-memory", str(80 * 2**20), "--temp-dir", str(folder)),
        *options,
    ]
    with started(command, environment, folder / "head.log") as running:
        log = folder / "head.log"
        within(60, lambda: "This command will now block" in log.read_text(), "Ray to start")
        yield f"127.0.0.1:{port}", running
