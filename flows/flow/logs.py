"""Log lines of the command line: on the console that also draws the progress bar, never told twice."""

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
"""Loggers of version 0.1 that deployments name in PREFECT_LOGGING_EXTRA_LOGGERS, and their successors."""

IMAGES: Final = "deqir.images"
"""Who tells of each image that was not restored."""


def log_to(console: Console, *, verbose: bool) -> None:
    """Send warnings of every library to `console`, and the information of ours and Prefect's if `verbose`.

    To be called before Prefect is imported: it leaves a root logger alone that has a handler already. What it
    reports to its API does not depend on this.
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
    """Return False for what the command line says itself, in a line each.

    That is what Prefect's engine says of a run that ended badly, and what a shard says of each image that was not
    restored: those are listed after the summary.
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
