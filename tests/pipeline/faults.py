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
from pipeline.worker import ShardWorker

MARKED_WIDTH = 17
Fault = Literal["raise", "configuration", "unavailable", "die", "hang"]


@dataclass(frozen=True)
class Watched:
    """An engine whose requests are shown to `look` as it takes them."""

    engine: Engine
    look: Callable[[Request[Any]], None]

    def run(
        self, requests: Iterable[Request[Any]], *, tally: Tally | None = None, images: int | None = None
    ) -> Iterator[Any]:
        def taken() -> Iterator[Request[Any]]:
            for request in requests:
                self.look(request)
                yield request

        return self.engine.run(taken(), tally=tally, images=images)


def watched(worker: ShardWorker, look: Callable[[Request[Any]], None]) -> ShardWorker:
    """The worker, with `look` called on its thread for each image that is about to be restored."""
    engine = Watched(worker.solver.engine, look)
    return replace(worker, solver=replace(worker.solver, engine=engine))  # type: ignore[arg-type]


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
