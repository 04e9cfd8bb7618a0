"""Exit statuses of the command line, and the one clear line that goes with each."""

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
    """What the command line tells its caller."""

    DONE = 0
    """Everything restored."""
    JOB_FAILED = 1
    """The job stopped; running it again resumes."""
    USAGE = 2
    """Something the user has to correct first."""
    SOME_FAILED = 3
    """The job is finished, but some images failed or were in conflict, and none of its runs and retries restored them
    since, or what replaced them in the source."""
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


INTERRUPTED: Final = "interrupted; run the same command again to resume"


class Terminated(SystemExit):
    """The end by SIGTERM, whatever else ends processes."""


@contextmanager
def exit_status(console: Console) -> Iterator[None]:
    """Turn errors and signals into a line on `console` and an exit status; a bug keeps its traceback.

    SIGTERM ends the block as an exception does, so that what it started is cleaned up.
    """
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        say(console, INTERRUPTED)
        sys.exit(Exit.INTERRUPTED)
    except Terminated:
        say(console, INTERRUPTED)
        raise
    except ConfigurationError as error:
        say(console, in_options(str(error)))
        sys.exit(Exit.USAGE)
    except JobError as error:
        say(console, in_options(str(error)))
        sys.exit(Exit.JOB_FAILED)
    finally:
        signal.signal(signal.SIGTERM, previous)


def terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    """End the process as an exception does; a handler may interrupt whatever writes, so that it says nothing itself.

    Raises:
        Terminated: Always, with the status that shells use for SIGTERM.
    """
    raise Terminated(Exit.TERMINATED)


def say(console: Console, text: str) -> None:
    """Print an error for people: `error: ` and the text as it is, without colours, markup or line breaking."""
    console.print(f"error: {uncoloured(text)}", style="red", markup=False, highlight=False, soft_wrap=True)
