"""Follow the started runs to their end, and repeat a batch if its run failed."""

from __future__ import annotations

import logging
from typing import Final

from flows.events.inbox.inbox import Inbox
from flows.events.inbox.records import Batch

from .runs import End, Runs

MOST_ATTEMPTS: Final = 5
FIRST_RETRY_SECONDS: Final = 60.0

logger = logging.getLogger("deqir.events")


def follow(inbox: Inbox, runs: Runs) -> None:
    """Record the ends of runs, and put back the batches that need another run.

    After a failed or crashed run the next run of the batch starts in 1, 2, 4, 8 minutes; the fifth run is the last.
    A run cancelled by a user is not repeated.

    Raises:
        TryLaterError: The server does not answer.
    """
    running = inbox.running()
    ends = runs.ends([str(batch.run) for batch in running])
    for batch in running:
        end = ends.get(str(batch.run))
        match end:
            case None:
                pass
            case End.COMPLETED:
                inbox.ended(batch, end)
            case End.CANCELLED:
                inbox.ended(batch, end)
                logger.warning("batch cancelled batch=%s attempt=%d run=%s", batch.id, batch.attempt, batch.run)
            case End.FAILED if batch.attempt >= MOST_ATTEMPTS:
                inbox.ended(batch, end)
                logger.error(
                    "batch given up batch=%s attempts=%d run=%s; a run without a key list will do its images",
                    batch.id,
                    batch.attempt,
                    batch.run,
                )
            case End.FAILED:
                put_back(inbox, batch, end, seconds=FIRST_RETRY_SECONDS * 2 ** (batch.attempt - 1))
            case End.REFUSED | End.LOST:
                put_back(inbox, batch, end, seconds=FIRST_RETRY_SECONDS)


def put_back(inbox: Inbox, batch: Batch, end: End, *, seconds: float) -> None:
    """Mark a batch to be started again in `seconds`."""
    inbox.try_again(batch, seconds=seconds)
    logger.warning(
        "batch to be started again batch=%s attempt=%d run=%s end=%s seconds=%.0f",
        batch.id,
        batch.attempt,
        batch.run,
        end,
        seconds,
    )
