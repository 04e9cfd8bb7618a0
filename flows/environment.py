"""The environment variables of the command line: the only place where they are set and read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HEARTBEAT_SECONDS: Final = 30
CREDENTIALS_BLOCK: Final = "DEQIR_CREDENTIALS_BLOCK"

RUN_DEFAULTS: Final = {
    "DO_NOT_TRACK": "1",
    # lines about jobs and shards belong to the run's log, those about single images do not; outside a run they
    # belong to none
    "PREFECT_LOGGING_EXTRA_LOGGERS": "deqir.job,deqir.plan,deqir.shards,deqir.ray",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
"""What every run has."""

DEPLOYED: Final = RUN_DEFAULTS | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}
"""What a run has that a worker starts."""

PREFECT_DEFAULTS: Final = RUN_DEFAULTS | {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    # the embedded server needs 8 to 13 s on two idle cores, and Prefect's own limit is 20 s
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""What the command line has, which may start a server of its own."""

WATCH_DEFAULTS: Final = {
    # the watcher tries again by itself; Prefect's own attempts would keep it from stopping for a minute
    "PREFECT_CLIENT_MAX_RETRIES": "1",
}
"""What a watcher has in addition."""


def prepare_prefect() -> None:
    """Set what Prefect reads when it is imported; whatever the user has set stays."""
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)


def prepare_watch() -> None:
    """Set what Prefect reads in a watcher."""
    prepare_prefect()
    for name, value in WATCH_DEFAULTS.items():
        os.environ.setdefault(name, value)


def secret(name: str) -> str | None:
    """Return what only the environment may hold, as every option can be read by other users; None if unset."""
    return os.environ.get(name) or None


def state_folder() -> Path:
    """Return where deqir keeps what has to survive a restart, by the XDG rules: ~/.local/state/deqir."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "deqir"


def use_credentials(variables: Mapping[str, str]) -> None:
    """Set variables for the rest of this process and for those that it starts."""
    os.environ.update(variables)
