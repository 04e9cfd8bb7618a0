"""The figures of docs/operations.md: python -m benchmarks.orchestration [--quick]

Starts a whole stack (infra/stack.py) in a folder of its own and measures Prefect's costs: from a schedule's time to
a running flow, from a cancel to the end, and the flow's own time and calls in a job of 200 shards. Writes
orchestration.json and orchestration.md into --out. About ten minutes, with ffdnet in the cache (deqir models fetch
ffdnet).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from PIL import Image

from infra import stack
from infra.settings import Settings, deqir, settings
from infra.supervisor import descendants

from .command import RESULTS
from .environment import environment
from .metering import Meter, metered

ENDED: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PORTS: Final = {"PREFECT": 24200, "S3": 24210, "RAY": 24250, "EVENTS": 24260, "POSTGRES": 24270}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: its subject, number of measurements, and results."""

    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def row(self) -> str:
        """Return the line of the table."""
        low, high = min(self.values), max(self.values)
        spread = "" if len(self.values) == 1 else f" ({low:.3g} to {high:.3g}, n = {len(self.values)})"
        return f"| {self.what} | {statistics.median(self.values):.3g} {self.unit}{spread} |"


@dataclass(frozen=True, slots=True)
class Server:
    """The stack's Prefect server, over its API."""

    running: Settings

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.running.prefect_api}{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deploy(self, name: str, *options: str | Path) -> str:
        """Register a deployment; returns its id."""
        words = deqir("deploy", name, *map(str, options))
        subprocess.run(words, env=self.running.environment, check=True, stdout=subprocess.DEVNULL)
        found: str = self.call("GET", f"/deployments/name/restore-archive/{name}")["id"]
        return found

    def start(self, deployment: str) -> str:
        run: str = self.call("POST", f"/deployments/{deployment}/create_flow_run", {})["id"]
        return run

    def state(self, run: str) -> str:
        found: str = self.call("GET", f"/flow_runs/{run}")["state_type"]
        return found


def archive(folder: Path, count: int) -> Path:
    """Write small pictures and return their folder."""
    folder.mkdir(parents=True)
    for number in range(count):
        values = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number:04d}.png")
    return folder


def until(true: Callable[[], object], *, seconds: float = 300) -> float:
    """Wait until a condition is true and return the seconds."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds:.0f} s")
        time.sleep(0.05)
    return time.monotonic() - began


def schedule(server: Server, folder: Path, *, runs: int) -> list[Figure]:
    """Measure runs with nothing left to do, started by a schedule every 25 s."""
    places = (archive(folder / "in", 2), folder / "out")
    id = server.deploy("clock", *places, "--scale", "2", "--executor", "local", "--rrule", "FREQ=SECONDLY;INTERVAL=25")
    body = {"deployments": {"id": {"any_": [id]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    until(lambda: len(server.call("POST", "/flow_runs/filter", body)) > runs, seconds=60 * runs)
    _, *found = sorted(server.call("POST", "/flow_runs/filter", body), key=lambda run: str(run["start_time"]))
    server.call("DELETE", f"/deployments/{id}")
    clicked = click(server, places, runs=runs)
    late, took = list[float](), list[float]()
    for run in found:
        due, began, ended = (
            datetime.fromisoformat(run[name]) for name in ("expected_start_time", "start_time", "end_time")
        )
        late.append((began - due).total_seconds())
        took.append((ended - began).total_seconds())
    return [
        Figure("from a click on Run to Running (the worker asks every 2 s; Prefect's default is 10 s)", "s", clicked),
        Figure("from a schedule's time to Running (a worker prepares runs up to 10 s ahead)", "s", tuple(late)),
        Figure("a run that has nothing left to do, from Running to its end", "s", tuple(took)),
    ]


def click(server: Server, places: tuple[Path, Path], *, runs: int) -> tuple[float, ...]:
    """Measure the delay of runs started by hand."""
    id, waited = server.deploy("click", *places, "--scale", "2", "--executor", "local"), list[float]()
    for _ in range(runs):
        run, began = server.start(id), time.monotonic()
        until(lambda run=run: server.state(run) in ("RUNNING", *ENDED))  # type: ignore[misc]
        waited.append(time.monotonic() - began)
        until(lambda run=run: server.state(run) in ENDED)  # type: ignore[misc]
    return tuple(waited)


def cancel(server: Server, folder: Path, *, runs: int, address: str | None) -> list[Figure]:
    """Measure how long a run's actors live, and its state takes, after a cancel over the API."""
    where = "a Ray of the run's own" if address is None else "another Ray cluster"
    gone, cancelled = list[float](), list[float]()
    for number in range(runs):
        place = folder / f"{number}"
        options = ["--scale", "2", "--steps", "1000", "--start-noise", "0.19"]
        options += ["--mode", "throughput", "--shard-size", "1"]
        options += ["--ray-address", address] if address is not None else []
        id = server.deploy(
            f"cancel-{'own' if address is None else 'other'}", archive(place / "in", 40), place / "out", *options
        )
        run = server.start(id)
        until(lambda place=place: list(place.glob("out/.deqir/*/manifest/*")))  # type: ignore[misc]
        began = time.monotonic()
        server.call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
        until(lambda: not actors(server.running))
        gone.append(time.monotonic() - began)
        until(lambda run=run: server.state(run) in ENDED)  # type: ignore[misc]
        cancelled.append(time.monotonic() - began)
    return [
        Figure(f"from Cancel to the end of the actors, {where}", "s", tuple(gone)),
        Figure(f"from Cancel to Cancelled, {where}", "s", tuple(cancelled)),
    ]


def actors(running: Settings) -> list[int]:
    """Return the processes of actors below the stack's."""
    holder = stack.holder(running)
    found = list[int]()
    for pid in descendants(holder or os.getpid()):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::ShardActor"):
                found.append(pid)
        except OSError:
            continue
    return found


def overhead(server: Server, folder: Path, *, shards: int) -> list[Figure]:
    """Measure one job of many shards, run by the flow in this process, against the stack's server."""
    os.environ |= {name: value for name, value in server.running.shown.items() if name.startswith("PREFECT")}
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    from flows.environment import prepare_prefect

    prepare_prefect()
    from flows.flow import restore_archive as restore
    from pipeline.config import RestoreJob

    job = RestoreJob.model_validate(
        {
            "source": str(archive(folder / "in", shards)),
            "destination": str(folder / "out"),
            "result": {"degradation": {"task": "sr", "scale": 2}},
            "runtime": {"executor": "local", "shard_size": 1},
        }
    )
    meter = Meter()
    with metered(meter, restore):
        began = time.monotonic()
        restore.restore_archive(job)
        wall = time.monotonic() - began
    own = wall - meter.inside
    return [
        Figure(f"calls of the API by a run of {shards} shards", "calls", (float(meter.calls),)),
        Figure(f"wall time of that run, {shards} images", "s", (wall,)),
        Figure("of that, outside of the pipeline: Prefect's and the flow's own", "s", (own,)),
        Figure("so that Prefect costs less than 2 % of every run of as many shards longer than", "s", (own / 0.02,)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="each figure once, 20 shards")
    options = parser.parse_args()
    runs, shards = (1, 20) if options.quick else (5, 200)
    with tempfile.TemporaryDirectory(prefix="deqir-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ |= {f"STACK_{key}_PORT": str(port) for key, port in PORTS.items()} | {
            "STACK_FOLDER": f"{name}/stack"
        }
        running = settings()
        if stack.up(running):
            raise SystemExit(1)
        try:
            server = Server(running)
            other = f"127.0.0.1:{running.ray}"
            figures = list[Figure]()
            measures: Sequence[Callable[[], list[Figure]]] = (
                lambda: overhead(server, folder / "overhead", shards=shards),
                lambda: cancel(server, folder / "own", runs=runs, address=None),
                lambda: cancel(server, folder / "other", runs=runs, address=other),
                lambda: schedule(server, folder / "schedule", runs=runs),
            )
            for measure in measures:
                figures += measure()
                write(options.out, figures)
        finally:
            stack.down(running)
    print((options.out / "orchestration.md").read_text())


def write(out: Path, figures: Sequence[Figure]) -> None:
    """Write the figures and where they were taken."""
    out.mkdir(parents=True, exist_ok=True)
    data = {"environment": environment(), "figures": [[each.what, each.unit, each.values] for each in figures]}
    (out / "orchestration.json").write_text(json.dumps(data, indent=1))
    table = "\n".join(["| | median |", "| --- | --- |", *(each.row for each in figures), ""])
    (out / "orchestration.md").write_text(table)


if __name__ == "__main__":
    main()
