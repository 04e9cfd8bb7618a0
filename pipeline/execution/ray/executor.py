"""Shards on Ray actors, one on each GPU share."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.errors import PipelineError, uncoloured
from pipeline.execution.progress import Progress
from pipeline.execution.protocol import PROGRESS_SECONDS, OnProgress, WorkerFactory
from pipeline.execution.shard_queue import ShardQueue
from pipeline.shards import Shard, ShardReport

from .actor import actor_class, never_up
from .actor_slots import MAX_STRIKES, START_SECONDS, Seat, suits, usable
from .cluster import connected, nodes
from .crash_isolation import CarefulShards
from .resources import Placement, place

MAX_FAILED_STARTS: Final = 3

logger = logging.getLogger("deqir.ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class RayExecutor:
    """Runs shards on actors: each builds its worker once and runs a shard at a time; only shards and reports travel.

    Ray restarts nothing and retries nothing: attempts are counted here. An actor is replaced when it died, and when it
    raised an error outside our own: its GPU may be in a state that only a new process can leave. A shard may therefore
    run twice, even at once (a node that was cut off goes on writing for a while); the conditional writes of the worker
    make this harmless. A shard whose process died twice goes on image by image.

    Attributes:
        actors: How many; None: one for each GPU share, or one where there is no GPU.
        gpus_per_actor: GPU share of an actor, where there are GPUs.
        cpus_per_actor: CPU share of an actor; None: an equal share.
        attempts: Times a shard is tried, without attempts ended by the death of the process.
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
        """True if it will start a cluster of its own on this machine."""
        return self.address is None and not ray.is_initialized()

    def check(self) -> None:
        """Raise ConfigurationError if the cluster is missing, or too small for an actor."""
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
            actors = _Actors(placement, make_worker, most=len(shards))
            try:
                while queue or actors.busy:
                    actors.hand_out(queue)
                    reports = actors.collect(queue)
                    on_progress(queue.done + actors.progress)
                    yield from reports
            finally:
                actors.kill()
        queue.finish()


class _Actors:
    """The actors of one run."""

    def __init__(self, placement: Placement, make_worker: WorkerFactory, *, most: int) -> None:
        self._placement = placement
        self._make_worker = make_worker
        self._actor_class = actor_class(placement)
        self._failed_starts = 0
        self._polled = time.monotonic()
        self._warn_at = time.monotonic() + START_SECONDS
        self._careful = CarefulShards()
        self._seats: list[Seat] = []
        for number in range(1, min(placement.actors, most) + 1):
            handle, started = self._hire()
            self._seats.append(Seat(number=number, handle=handle, started=started))

    @property
    def busy(self) -> bool:
        return any(seat.shard is not None for seat in self._seats)

    @property
    def progress(self) -> Progress:
        whole = (seat.progress for seat in self._seats if seat.shard and not self._careful.of(seat.shard))
        return sum(whole, self._careful.progress)

    def hand_out(self, queue: ShardQueue) -> None:
        """Give a shard to each running and idle actor, and none to actors still waiting for resources."""
        seats = usable(self._seats)
        for seat in seats:
            if queue and seat.ready and self._is_up(seat):
                shard = queue.take_if(partial(suits, seat, seats))
                if shard is not None:
                    self._call(seat, shard)
        for seat in self._seats:
            if seat.strikes >= MAX_STRIKES and not seat.put_aside and seat not in seats:
                seat.put_aside = True
                logger.warning("%s", seat.complaint)

    def collect(self, queue: ShardQueue) -> list[ShardReport]:
        """Wait up to a second for an answer and return the new reports.

        It waits for futures, not for references: ray.get and ray.wait hold back signals in the main thread.
        """
        awaited = [seat.call or seat.started for seat in self._seats if seat.call or not seat.started.done()]
        wait(awaited, timeout=PROGRESS_SECONDS, return_when=FIRST_COMPLETED)
        reports = []
        for seat in self._seats:
            if seat.shard is not None and seat.call is not None and seat.call.done():
                report = self._take_answer(seat, seat.shard, seat.call, queue)
                if report is not None:
                    reports.append(report)
        self._poll()
        self._warn_of_waiting()
        return reports

    def kill(self) -> None:
        """End every actor at once; its uncommitted shard is undone."""
        for seat in self._seats:
            ray.kill(seat.handle)

    def _hire(self) -> tuple[Any, Future[Any]]:
        handle = self._actor_class.remote(self._make_worker, self._placement.threads)
        return handle, handle.place.remote().future()

    def _replace(self, seat: Seat, error: BaseException) -> None:
        """Replace an actor that is dead, out of reach or in doubt, and never wait for it again."""
        ray.kill(seat.handle)
        seat.lost(error)
        seat.renew(*self._hire())

    def _is_up(self, seat: Seat) -> bool:
        """True if this seat's actor has started; replace it if it died on the way."""
        error = seat.started.exception()
        if error is None:
            self._failed_starts = 0
            seat.place = seat.started.result()
            return True
        self._failed_starts += 1
        if self._failed_starts >= MAX_FAILED_STARTS and not any(other.up for other in self._seats):
            raise never_up(self._failed_starts, error) from error
        self._replace(seat, error)
        return False

    def _call(self, seat: Seat, shard: Shard) -> None:
        """Have a seat's actor run a shard, or its next image."""
        careful = self._careful.of(shard)
        reference = seat.handle.run.remote(shard) if careful is None else careful.ask(seat.handle)
        seat.shard, seat.call, seat.progress = shard, reference.future(), Progress()

    def _take_answer(self, seat: Seat, shard: Shard, call: Future[Any], queue: ShardQueue) -> ShardReport | None:
        """Return the report of a finished shard; None if it goes on, or if it failed, as the queue then knows."""
        seat.shard = seat.call = None
        try:
            answer = call.result()
        except RayTaskError as error:
            cause: Exception = error.cause if isinstance(error.cause, Exception) else error
            cause.add_note(uncoloured(str(error)))
            if not isinstance(cause, PipelineError):
                self._replace(seat, cause)
            self._failed(seat, shard, cause, queue)
            return None
        except RayError as error:  # the process is gone, or out of reach
            self._replace(seat, error)
            self._died(seat, shard, error, queue)
            return None
        seat.succeeded()
        careful = self._careful.of(shard)
        report: ShardReport | None = answer if careful is None else careful.answered(answer)
        if report is None:
            self._forget_where(shard)
            self._call(seat, shard)
            return None
        self._careful.ended(shard)
        queue.finished(shard, report)
        return report

    def _failed(self, seat: Seat, shard: Shard, error: Exception, queue: ShardQueue) -> None:
        seat.failed.add(shard.id)
        if not queue.failed(shard, error):
            self._careful.ended(shard)

    def _died(self, seat: Seat, shard: Shard, error: Exception, queue: ShardQueue) -> None:
        """Have a shard whose process died tried again, from the second time on image by image."""
        careful = self._careful.of(shard)
        if careful is not None and careful.died():
            self._failed(seat, shard, error, queue)
            return
        if careful is None and self._careful.begins(shard):
            self._forget_where(shard)
        seat.failed.add(shard.id)
        queue.died(shard, error, then="image by image" if self._careful.of(shard) else "retry")

    def _forget_where(self, shard: Shard) -> None:
        """Let a shard go to any seat again: another image is next."""
        for seat in self._seats:
            seat.failed.discard(shard.id)

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
