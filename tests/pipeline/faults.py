"""Workers that misbehave on purpose, importable by the processes of a cluster."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ConfigurationError, StoreUnavailableError
from pipeline.worker import ShardWorker

MARKED_WIDTH = 17
Fault = Literal["raise", "configuration", "unavailable", "die", "hang"]


@dataclass(frozen=True)
class Faulty:
    """A restorer that commits `fault` on images of MARKED_WIDTH, the first `times` times anywhere.

    Attributes:
        restorer: The real one.
        folder: Holds one file for each time, named by the process that it happened in.
    """

    restorer: Any
    fault: Fault
    times: int
    folder: Path

    def __call__(self, y: Any, operator: Any, *, seeds: Sequence[int]) -> Any:
        if y.shape[-1] == MARKED_WIDTH and len(list(self.folder.iterdir())) < self.times:
            (self.folder / f"{os.getpid()}-{uuid.uuid4().hex}").touch()
            self.commit()
        return self.restorer(y, operator, seeds=seeds)

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
    """The worker that `make_worker` builds, with a `Faulty` restorer."""
    worker = make_worker()
    faulty = Faulty(worker.solver.restorer, fault, times, folder)
    return replace(worker, solver=replace(worker.solver, restorer=faulty))  # type: ignore[arg-type]
