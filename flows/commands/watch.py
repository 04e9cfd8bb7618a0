"""`deqir watch`: set up log lines, secrets and the inbox, then watch."""

from __future__ import annotations

import re
from pathlib import Path

from flows.credentials import take_credentials
from flows.environment import prepare_watch, secret, state_folder
from flows.flow.logs import log_lines


def run_watch(
    *,
    deployment: str,
    queue: str | None,
    webhook: str | None,
    poll: float | None,
    inbox: Path | None,
    batch_size: int,
    batch_seconds: float,
    max_runs: int,
) -> None:
    """Watch until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: Something the user has to correct.
        StoreUnavailableError: A store does not answer at the start.
    """
    log_lines()
    prepare_watch()
    take_credentials()
    from flows.events.inbox.batch_rule import BatchRule
    from flows.events.watch import WatchSettings, watch

    watch(
        WatchSettings(
            deployment=deployment,
            queue=queue,
            webhook=webhook,
            poll=poll,
            inbox=inbox or default_inbox(deployment),
            rule=BatchRule(size=batch_size, seconds=batch_seconds),
            most_runs=max_runs,
            token=secret("DEQIR_WEBHOOK_TOKEN"),
            secret=secret("DEQIR_WEBHOOK_SECRET"),
        )
    )


def default_inbox(deployment: str) -> Path:
    """Return the default file of a deployment's inbox."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", deployment.rpartition("/")[2])
    return state_folder() / f"inbox-{name}.sqlite3"
