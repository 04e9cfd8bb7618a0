"""Close batches of waiting hints, and start a run for each batch exactly once."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Final

from flows.events.inbox.batch_rule import BatchRule
from flows.events.inbox.inbox import Inbox
from flows.events.inbox.records import Batch
from pipeline.errors import ConfigurationError
from pipeline.planning.key_list import write_key_list
from pipeline.store import Store

from .follower import follow
from .runs import Deployment, Runs

IDLE_SECONDS: Final = 1.0
BUSY_SECONDS: Final = 5.0
FOLLOW_SECONDS: Final = 15.0

logger = logging.getLogger("deqir.events")


@dataclass(slots=True, kw_only=True)
class Starter:
    """Starts runs of a deployment for the hints in an inbox. A call starts all due batches.

    A batch is on disk before its key list is written. The key list is written before the run is created, under an
    idempotency key made of deployment, batch and attempt. If the process is killed between these steps, the next
    process repeats them with the same result.

    Attributes:
        inbox: Inbox with the hints.
        runs: Runs of the deployment.
        destination: Store for the key lists.
        rule: When a batch is closed.
        most_runs: Most runs of the deployment, due or under way, started by anybody. At this number no run is
            started: hints wait longer, and the next batch is larger.
    """

    inbox: Inbox
    runs: Runs
    destination: Store
    rule: BatchRule
    most_runs: int
    _follow_at: float = field(default=0.0, init=False)
    _held_back: bool = field(default=False, init=False)

    def __call__(self) -> float:
        """Follow runs and start due batches; return the seconds to wait before the next call."""
        if time.monotonic() >= self._follow_at:
            follow(self.inbox, self.runs)
            self._follow_at = time.monotonic() + FOLLOW_SECONDS
        while True:
            closed = self.inbox.to_start()
            waiting, oldest = self.inbox.waiting()
            due = self.rule.due(waiting=waiting, oldest=oldest)
            if not closed and not due:
                return IDLE_SECONDS
            deployment = self._deployment()
            if self._full(deployment, waiting):
                return BUSY_SECONDS
            batch = closed[0] if closed else self.inbox.close_batch(due)
            if batch is not None:
                self._start(deployment, batch)

    def _start(self, deployment: Deployment, batch: Batch) -> None:
        keys = self.inbox.keys_of(batch)
        place = write_key_list(self.destination, batch.id, keys)
        run = self.runs.create(
            deployment,
            {**deployment.job, "key_list": place},
            key=f"{self.runs.name}:{batch.id}:{batch.attempt}",
        )
        happened = self.inbox.happened(batch)
        self.inbox.started(batch, run)
        logger.info(
            "batch started batch=%s keys=%d attempt=%d run=%s waiting=%d lag=%s",
            batch.id,
            len(keys),
            batch.attempt,
            run,
            self.inbox.waiting()[0],
            "unknown" if happened is None else f"{time.time() - happened:.0f}s",
        )

    def _deployment(self) -> Deployment:
        """Return the deployment as it is now.

        Raises:
            ConfigurationError: Its source is not the source of the inbox and its hints.
        """
        deployment = self.runs.deployment()
        if deployment.source != self.inbox.source:
            raise ConfigurationError(
                f"the deployment {self.runs.name} now restores {deployment.source}, not {self.inbox.source}; "
                "start the watcher again with another --inbox"
            )
        return deployment

    def _full(self, deployment: Deployment, waiting: int) -> bool:
        """True if `most_runs` runs are due or under way; logged when it becomes true."""
        active = self.runs.active(deployment)
        full = active >= self.most_runs
        if full and not self._held_back:
            logger.info("holding back active_runs=%d limit=%d waiting=%d", active, self.most_runs, waiting)
        self._held_back = full
        return full
