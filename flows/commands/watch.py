"""`deqir watch`: set up log lines, Prefect and credentials, then watch."""

from __future__ import annotations

from flows.credentials import take_credentials
from flows.environment import prepare_watch
from flows.flow.logs import log_lines
from flows.options.request import checked
from flows.options.signature import Given, takes
from flows.options.watch import WatchSettings


@takes(WatchSettings)
def watch(given: Given) -> None:
    """Start runs of a deployment for new objects in its source, until SIGTERM or SIGINT."""
    settings = checked(WatchSettings, given)
    log_lines()
    prepare_watch()
    take_credentials()
    from flows.events import watch as events  # imports Prefect

    events.watch(settings)
