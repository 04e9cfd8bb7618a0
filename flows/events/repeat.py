"""Repeat a step until the watcher stops, and continue after errors of the network or a server."""

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
"""Errors at the moment, by the name of the failing work."""

logger = logging.getLogger("deqir.events")


class TryLaterError(Exception):
    """A server did not answer, or refused for now."""


_PASSING: Final = (
    TryLaterError,
    StoreUnavailableError,
    StoreAccessError,
    CommitStateUnknownError,
    sqlite3.OperationalError,
)


def repeat(name: str, step: Callable[[], float], stop: Event, problems: Problems) -> None:
    """Call `step`, wait for the seconds it returns, and repeat until `stop` is set.

    After a temporary error the step is called again in 1, 2, 4, ... up to 60 seconds, and its error is in `problems`
    until it succeeds. Refused credentials count as temporary: they are often renewed from outside.

    Raises:
        Exception: Any other error of a step, at once.
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
