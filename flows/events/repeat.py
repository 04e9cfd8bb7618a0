"""Work that is repeated until the watcher stops, through whatever passes by itself."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from threading import Event
from typing import Final

from pipeline.errors import CommitStateUnknownError, StoreAccessError, StoreUnavailableError

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0

Problems = dict[str, str]
"""What does not work at the moment, by the name of the work."""

logger = logging.getLogger("deqir.events")


class TryLaterError(Exception):
    """Something outside did not answer, or refused for now."""


_PASSING: Final = (
    TryLaterError,
    StoreUnavailableError,
    StoreAccessError,
    CommitStateUnknownError,
    sqlite3.OperationalError,
)


def repeat(name: str, step: Callable[[], float], stop: Event, problems: Problems) -> None:
    """Call `step`, wait for as many seconds as it returns, and so on until `stop` is set.

    A step that fails for a reason that passes is called again after 1, 2, 4, ... up to 60 seconds; it is in
    `problems` until it succeeds. Credentials that are refused count as such: they are often renewed from outside.

    Raises:
        Exception: Whatever else a step raises, at once.
    """
    failures = 0
    while not stop.is_set():
        try:
            seconds = step()
        except _PASSING as error:
            seconds = min(FIRST_WAIT * 2**failures, LONGEST_WAIT)
            failures += 1
            problems[name] = str(error)
            logger.warning("%s failed, again in %.0f s error=%s", name, seconds, error)
        else:
            if failures:
                logger.info("%s works again after %d failures", name, failures)
            failures = 0
            problems.pop(name, None)
        stop.wait(seconds)
