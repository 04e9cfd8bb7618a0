"""Log lines of the command line: on the console of the progress bar, each message once."""

from __future__ import annotations

import logging
import time
from typing import Final

from rich.console import Console
from rich.logging import RichHandler

FORMER_LOGGERS: Final = {
    "pipeline.job": "deqir.job",
    "pipeline.plan": "deqir.plan",
    "pipeline.executors": "deqir.shards",
    "pipeline.ray_executor": "deqir.ray",
}
"""Loggers of version 0.1, as deployments name them in PREFECT_LOGGING_EXTRA_LOGGERS, and their successors."""

IMAGES: Final = "deqir.images"
"""Logger of images that were not restored."""


def log_to(console: Console, *, verbose: bool) -> None:
    """Send warnings of every library to `console`, and the information of ours and Prefect's if `verbose`.

    Call it before Prefect is imported: Prefect leaves a root logger with a handler alone. Prefect's reports
    to its API do not depend on this.
    """
    handler = RichHandler(
        level=logging.INFO if verbose else logging.WARNING,
        console=console,
        show_time=verbose,
        show_path=False,
        markup=False,
        highlighter=None,
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    if not verbose:
        handler.addFilter(not_told_twice)
    logging.getLogger().addHandler(handler)
    logging.getLogger("deqir").setLevel(logging.INFO)


def not_told_twice(record: logging.LogRecord) -> bool:
    """Return False for messages repeated by the command line itself.

    Prefect's engine reports runs that ended badly, and a shard reports each image that failed: the command line
    lists both after the summary.
    """
    of_engine = record.name.startswith(("prefect.flow_runs", "prefect.task_runs")) and record.levelno >= logging.ERROR
    return not (of_engine or record.name == IMAGES)


def log_jobs_and_shards() -> None:
    """Send lines about jobs and shards to a run's log, also where a deployment names loggers of version 0.1."""
    logging.getLogger("deqir").setLevel(logging.INFO)
    for former, name in FORMER_LOGGERS.items():
        for handler in logging.getLogger(former).handlers:
            logging.getLogger(name).addHandler(handler)


def log_lines() -> None:
    """Send our information and every library's warnings to standard error, one line each with its time in UTC."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    logging.getLogger("deqir").setLevel(logging.INFO)
