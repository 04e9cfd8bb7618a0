"""Exit statuses of the command line, each with a clear line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import Final, NoReturn

from rich.console import Console

from flows.options.fields import in_options
from pipeline.errors import ConfigurationError, JobError, uncoloured


class Exit(IntEnum):
    """Exit status of the command line."""

    DONE = 0
    """Every image is restored, or unchanged as it needs nothing."""
    JOB_FAILED = 1
    """The job stopped; running it again resumes."""
    USAGE = 2
    """The user has to correct something first."""
    SOME_FAILED = 3
    """The job is finished, but some images failed, were in conflict or were set aside, and neither they nor their newer
    versions were delivered since; or some are of a kind that cannot be restored."""
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


INTERRUPTED: Final = "interrupted; run the same command again to resume"


class Terminated(SystemExit):
    """The end by SIGTERM, whatever else ends processes."""


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn errors and signals into a line on standard error and an exit status; a bug keeps its traceback.

    SIGTERM ends the block as an exception does, so everything it started is cleaned up.
    """
    console, previous = Console(stderr=True), signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        say(console, INTERRUPTED)
        sys.exit(Exit.INTERRUPTED)
    except Terminated:
        say(console, INTERRUPTED)
        raise
    except JobError as error:
        say(console, in_options(str(error)))
        sys.exit(Exit.USAGE if isinstance(error, ConfigurationError) else Exit.JOB_FAILED)
    finally:
        signal.signal(signal.SIGTERM, previous)


def terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    """End the process as an exception does, without a message: a handler may interrupt another writer.

    Raises:
        Terminated: Always, with the shells' status for SIGTERM.
    """
    raise Terminated(Exit.TERMINATED)


def say(console: Console, text: str) -> None:
    """Print an error for people: `error: ` and the text as it is, without colours, markup or line breaking."""
    console.print(f"error: {uncoloured(text)}", style="red", markup=False, highlight=False, soft_wrap=True)
