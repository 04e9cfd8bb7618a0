"""The settings of `deqir watch`, each an option."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from pipeline.fields import Model, Option

FROM: Final = "Sources of events about new objects (one or more)"
WHEN: Final = "When runs are started"


class WatchSettings(Model):
    """The settings of `deqir watch`."""

    deployment: Annotated[str, Option(metavar="FLOW/NAME")]
    """The deployment to run, restore-archive/NAME; its job has the source and the destination."""
    queue: Annotated[str | None, Option(metavar="URL", section=FROM)] = None
    """SQS queue with events of S3."""
    webhook: Annotated[str | None, Option(metavar="HOST:PORT", section=FROM)] = None
    """Receive events at http://HOST:PORT/events, with the token in DEQIR_WEBHOOK_TOKEN or signed with
    DEQIR_WEBHOOK_SECRET; /healthz reports the state."""
    poll: Annotated[float | None, Option(metavar="SECONDS", section=FROM)] = Field(None, ge=1)
    """List the source every so many seconds, 1 or more."""
    inbox: Annotated[
        Path | None, Option(metavar="FILE", default="~/.local/state/deqir/inbox-NAME.sqlite3", section=WHEN)
    ] = None
    """Memory of the watcher, on a local disk that survives a restart."""
    batch_size: Annotated[int, Option(section=WHEN)] = Field(1000, ge=1, le=100_000)
    """Most objects in a run, up to 100,000."""
    batch_seconds: Annotated[float, Option(section=WHEN)] = Field(30.0, ge=0)
    """Longest wait of a new object for others, in seconds."""
    max_runs: Annotated[int, Option(section=WHEN)] = Field(2, ge=1)
    """Most runs of the deployment due or under way; new objects wait meanwhile."""
