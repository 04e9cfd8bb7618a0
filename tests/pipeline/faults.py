"""Workers that misbehave on purpose, importable by the processes of a cluster."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from deqir import Denoiser, Engine, Request, Tally
from pipeline.errors import ConfigurationError, StoreUnavailableError
from pipeline.worker.worker import ShardWorker

MARKED_WIDTH = 17
Fault = Literal["raise", "configuration", "unavailable", "die", "hang"]


class Watched(Engine):
    """An engine whose requests are shown to `look` as it takes them."""

    def __init__(self, engine: Engine, look: Callable[[Request[Any]], None]) -> None:
        super().__init__(engine.prior, engine.settings)
        self._engine, self._look = engine, look

    def run(
        self, requests: Iterable[Request[Any]], *, tally: Tally | None = None, images: int | None = None
    ) -> Iterator[Any]:
        def taken() -> Iterator[Request[Any]]:
            for request in requests:
                self._look(request)
                yield request

        return self._engine.run(taken(), tally=tally, images=images)


def watched(worker: ShardWorker, look: Callable[[Request[Any]], None]) -> ShardWorker:
    """The worker, with `look` called on its thread for each image that is about to be restored."""
    engine = Watched(worker.solver.engine, look)
    return replace(worker, solver=replace(worker.solver, engine=engine))


def with_denoiser(worker: ShardWorker, denoiser: Denoiser) -> ShardWorker:
    """The worker with another network."""
    engine = Engine(denoiser, worker.solver.engine.settings)
    return replace(worker, solver=replace(worker.solver, engine=engine))


@dataclass(frozen=True)
class Faulty:
    """Commits `fault` at images of MARKED_WIDTH, the first `times` times anywhere.

    Attributes:
        folder: Holds one file for each time, named by the process that it happened in.
    """

    fault: Fault
    times: int
    folder: Path

    def __call__(self, request: Request[Any]) -> None:
        if request.y.shape[-1] == MARKED_WIDTH and len(list(self.folder.iterdir())) < self.times:
            (self.folder / f"{os.getpid()}-{uuid.uuid4().hex}").touch()
            self.commit()

    def commit(self) -> None:
        match self.fault:
            case "raise":
                raise RuntimeError("the marked image does not agree with us")
            case "configuration":
                raise ConfigurationError("the job cannot be done here")
            case "unavailable":
                raise StoreUnavailableError("no answer after all retries")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)


def faulty_worker(make_worker: Callable[[], ShardWorker], fault: Fault, times: int, folder: Path) -> ShardWorker:
    """The worker that `make_worker` builds, which commits a fault at marked images."""
    return watched(make_worker(), Faulty(fault, times, folder))


def wait_until(true: Callable[[], object]) -> None:
    """Return when something is true; the test's time limit is the bound."""
    while not true():
        time.sleep(0.01)
