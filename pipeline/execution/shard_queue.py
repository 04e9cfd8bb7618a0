"""The queue of a run's shards, which counts their attempts."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence

from pipeline.errors import ConfigurationError, ShardsAbandonedError, StoreUnavailableError, TimeLimitError
from pipeline.shards import Shard, ShardReport

from .progress import Progress, progress_of

logger = logging.getLogger("deqir.shards")


class ShardQueue:
    """Waiting, failed and finished shards of a run; attempts are counted here for every executor.

    Attributes:
        done: Images of the shards finished so far.
    """

    def __init__(self, shards: Sequence[Shard], *, attempts: int, workers: int = 1) -> None:
        self.done = Progress()
        self._waiting = deque(shards)
        self._total = len(shards)
        self._attempts = attempts
        self._patience = attempts * workers
        self._unanswered = 0
        self._failures: Counter[str] = Counter()
        self._abandoned: dict[str, BaseException] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> Shard:
        """Return the next shard; failed shards come after shards never tried."""
        return self._waiting.popleft()

    def take_if(self, suits: Callable[[Shard], bool]) -> Shard | None:
        """Return the next suitable shard, in the order of `take`; None if no waiting shard suits."""
        for place, shard in enumerate(self._waiting):
            if suits(shard):
                del self._waiting[place]
                return shard
        return None

    def finished(self, shard: Shard, report: ShardReport) -> None:
        """Count a committed shard."""
        self._unanswered = 0
        self.done += progress_of(shard, report)

    def died(self, shard: Shard, error: Exception, *, then: str) -> None:
        """Put a shard back whose process died, which says nothing of the shard and is none of its attempts.

        Args:
            shard: The shard.
            error: How its death was noticed.
            then: The next step, for the log.
        """
        self._unanswered = 0
        logger.warning(
            "process died shard=%s images=%d next=%s error=%s: %s",
            shard.id,
            len(shard.images),
            then,
            type(error).__name__,
            " ".join(str(error).split()),
        )
        self._waiting.append(shard)

    def failed(self, shard: Shard, error: Exception) -> bool:
        """Put a shard back, or leave it for the next run when it has had all its attempts.

        Returns:
            True if it is tried again.

        Raises:
            ConfigurationError, TimeLimitError: `error` is one.
            StoreUnavailableError: `error` is one, like every failure for `attempts` rounds of all workers.
        """
        error.add_note(f"while running shard {shard.id} ({len(shard.images)} images)")
        self._unanswered = self._unanswered + 1 if isinstance(error, StoreUnavailableError) else 0
        if isinstance(error, ConfigurationError | TimeLimitError) or self._unanswered >= self._patience:
            raise error
        self._failures[shard.id] += 1
        count = self._failures[shard.id]
        again = count < self._attempts
        logger.warning(
            "shard failed shard=%s images=%d attempt=%d of=%d next=%s error=%s: %s",
            shard.id,
            len(shard.images),
            count,
            self._attempts,
            "retry" if again else "abandon",
            type(error).__name__,
            error,
            exc_info=None if again else error,
        )
        if again:
            self._waiting.append(shard)
        else:
            self._abandoned[shard.id] = error
        return again

    def finish(self) -> None:
        """Raise ShardsAbandonedError if any shard was abandoned."""
        if not self._abandoned:
            return
        *_, error = self._abandoned.values()
        names = ", ".join(self._abandoned)
        raise ShardsAbandonedError(
            f"{len(self._abandoned)} of {self._total} shards failed {self._attempts} times each and were "
            f"left uncommitted: {names}; everything else is done. The last error was {type(error).__name__}: "
            f"{error}. Run the same job again to try them again"
        ) from error
