"""Shards on Ray actors, one on each GPU share."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from .errors import ConfigurationError, uncoloured
from .executors import PROGRESS_SECONDS, OnProgress, ShardQueue, WorkerFactory
from .manifest import Status
from .placement import Placement, place
from .progress import Progress
from .ray_cluster import connected, nodes
from .ray_metrics import Meters
from .shards import Shard, ShardReport
from .worker import ShardWorker

MAX_FAILED_STARTS: Final = 3
START_SECONDS: Final = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayExecutor:
    """Actors that build their worker once and run one shard at a time; only shards and reports travel.

    Ray restarts nothing and retries nothing: attempts are counted here, and a dead actor is replaced. That a
    shard may then run twice, even at once (a node that was cut off goes on writing for a while), is made
    harmless by the conditional writes of the worker.

    Attributes:
        actors: How many; None: one for each GPU share, or one where there is no GPU.
        gpus_per_actor: GPU share of an actor, where there are GPUs.
        cpus_per_actor: CPU share of an actor; None: an equal share.
        attempts: Times a shard is tried.
        device: "auto", "cpu" or "cuda".
        address: An existing cluster; None: the one that this process is connected to, else a new one on this
            machine for the duration of the run.
    """

    actors: int | None = None
    gpus_per_actor: float = 1.0
    cpus_per_actor: float | None = None
    attempts: int = 3
    device: str = "auto"
    address: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it will start a cluster of its own on this machine."""
        return self.address is None and not ray.is_initialized()

    def check(self) -> None:
        """Raise ConfigurationError if the cluster is not there, or has not what one actor needs."""
        with connected(self.address):
            self._placement()

    def _placement(self) -> Placement:
        return place(
            nodes(),
            device=self.device,
            actors=self.actors,
            gpus_per_actor=self.gpus_per_actor,
            cpus_per_actor=self.cpus_per_actor,
        )

    def run(
        self, shards: Sequence[Shard], make_worker: WorkerFactory, on_progress: OnProgress, /
    ) -> Generator[ShardReport, None, None]:
        if not shards:
            return
        with connected(self.address):
            placement = self._placement()
            queue = ShardQueue(shards, attempts=self.attempts, workers=placement.actors)
            crew = _Crew(placement, make_worker, most=len(shards))
            try:
                while queue or crew.busy:
                    crew.hand_out(queue)
                    reports = crew.collect(queue)
                    on_progress(queue.done + crew.progress)
                    yield from reports
            finally:
                crew.kill()
        queue.finish()


class _ShardActor:
    """The process beside a GPU: a worker, built at the first shard so that its errors are a shard's."""

    def __init__(self, make_worker: WorkerFactory, threads: int) -> None:
        logging.basicConfig(level=logging.INFO)
        torch.set_num_threads(threads)
        self._make_worker = make_worker
        self._worker: ShardWorker | None = None
        self._meters: Meters | None = None
        self._running = ("", Progress())

    def run(self, shard: Shard) -> ShardReport:
        self._running = (shard.id, Progress())
        if self._worker is None:
            self._worker = self._make_worker()
            self._meters = Meters.of(self._worker.facts.job_id)
        report = self._worker.run(shard, self._on_row)
        if self._meters is not None:
            self._meters.shard(report)
        return report

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator, unused-ignore]  # ray has no types
    def running(self) -> tuple[str, Progress]:
        """Return the shard in hand and its images so far; answers while `run` is at work."""
        return self._running

    def _on_row(self, status: Status) -> None:
        shard_id, progress = self._running
        self._running = (shard_id, progress.counting(status))
        if self._meters is not None:
            self._meters.row(status)


@dataclass(slots=True)
class _Seat:
    """One actor as the driver sees it: the calls that are out, and what it last said."""

    handle: Any
    started: Future[Any]
    shard: Shard | None = None
    result: Future[Any] | None = None
    poll: Future[Any] | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def ready(self) -> bool:
        return self.started.done() and self.shard is None


class _Crew:
    """The actors of one run."""

    def __init__(self, placement: Placement, make_worker: WorkerFactory, *, most: int) -> None:
        self._placement = placement
        self._make_worker = make_worker
        remote: Any = ray.remote  # its stubs do not know concurrency groups
        self._actor_class = remote(
            num_gpus=placement.gpus,
            num_cpus=placement.cpus,
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"control": 1},
        )(_ShardActor)
        self._failed_starts = 0
        self._polled = time.monotonic()
        self._warn_at = time.monotonic() + START_SECONDS
        self._seats: list[_Seat] = []
        for _ in range(min(placement.actors, most)):
            self._seats.append(self._hire())

    @property
    def busy(self) -> bool:
        return any(seat.shard is not None for seat in self._seats)

    @property
    def progress(self) -> Progress:
        return sum((seat.progress for seat in self._seats if seat.shard is not None), Progress())

    def hand_out(self, queue: ShardQueue) -> None:
        """Give one shard to each actor that is up and idle; one still waiting for its resources gets none."""
        for index, seat in enumerate(self._seats):
            if queue and seat.ready and self._is_up(index):
                seat.shard = queue.take()
                seat.progress = Progress()
                seat.result = seat.handle.run.remote(seat.shard).future()

    def collect(self, queue: ShardQueue) -> list[ShardReport]:
        """Wait up to a second for something to happen and return the reports that came.

        It waits for futures, not for references: ray.get and ray.wait hold back signals in the main thread.
        """
        awaited = [seat.result or seat.started for seat in self._seats if seat.result or not seat.started.done()]
        wait(awaited, timeout=PROGRESS_SECONDS, return_when=FIRST_COMPLETED)
        reports = []
        for index, seat in enumerate(self._seats):
            if seat.shard is not None and seat.result is not None and seat.result.done():
                report = self._take_result(index, seat.shard, seat.result, queue)
                if report is not None:
                    reports.append(report)
        self._poll()
        self._warn_of_waiting()
        return reports

    def kill(self) -> None:
        """End every actor at once; what it had not committed is undone."""
        for seat in self._seats:
            ray.kill(seat.handle)

    def _hire(self) -> _Seat:
        handle = self._actor_class.remote(self._make_worker, self._placement.threads)
        return _Seat(handle=handle, started=handle.running.remote().future())

    def _is_up(self, index: int) -> bool:
        """Return whether this actor has started; replace it if it died on the way."""
        error = self._seats[index].started.exception()
        if error is None:
            self._failed_starts = 0
            return True
        self._failed_starts += 1
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise ConfigurationError(
                f"Ray actors do not start: {self._failed_starts} in a row died at once. Every node needs this program "
                f"in the same version as here ({Path(__file__).parent}), and no other folder of that name where "
                f"workers look first, which may be this process's current directory ({Path.cwd()}); see Ray's logs. "
                f"The last error was {type(error).__name__}: {uncoloured(str(error))}"
            ) from error
        self._seats[index] = self._hire()
        return False

    def _take_result(self, index: int, shard: Shard, result: Future[Any], queue: ShardQueue) -> ShardReport | None:
        """Return the report of a shard that ended; None if it failed, which the queue then knows."""
        seat = self._seats[index]
        seat.shard = seat.result = None
        try:
            report: ShardReport = result.result()
        except RayTaskError as error:  # an exception of ours: the actor is well
            cause: Exception = error.cause if isinstance(error.cause, Exception) else error
            cause.add_note(uncoloured(str(error)))
            queue.failed(shard, cause)
            return None
        except RayError as error:  # the process is gone, or out of reach: never wait for it again
            ray.kill(seat.handle)
            self._seats[index] = self._hire()
            queue.failed(shard, error)
            return None
        queue.finished(shard, report)
        return report

    def _warn_of_waiting(self) -> None:
        """Tell the log once when nothing runs because the cluster has no room."""
        if time.monotonic() < self._warn_at or any(seat.started.done() for seat in self._seats):
            return
        self._warn_at = float("inf")
        logger.warning(
            "no actor has started for %.0f s: each needs cpus=%g gpus=%g, the cluster has %s free; waiting",
            START_SECONDS,
            self._placement.cpus,
            self._placement.gpus,
            ray.available_resources(),  # type: ignore[no-untyped-call, unused-ignore]  # ray has no types
        )

    def _poll(self) -> None:
        """Take the answers of the last round of questions and, about every second, ask again."""
        ask = time.monotonic() - self._polled >= PROGRESS_SECONDS
        if ask:
            self._polled = time.monotonic()
        for seat in self._seats:
            if seat.poll is not None and seat.poll.done():
                if seat.shard is not None and seat.poll.exception() is None:
                    shard_id, progress = seat.poll.result()
                    if shard_id == seat.shard.id:
                        seat.progress = progress
                seat.poll = None
            if ask and seat.poll is None and seat.shard is not None:
                seat.poll = seat.handle.running.remote().future()
