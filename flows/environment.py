"""Set and read the environment variables of the command line. No other module of `flows` does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HEARTBEAT_SECONDS: Final = 30
CREDENTIALS_BLOCK: Final = "DEQIR_CREDENTIALS_BLOCK"

RUN_DEFAULTS: Final = {
    "DO_NOT_TRACK": "1",
    # lines about jobs and shards go into the run's log, but lines about single images do not; outside of a run
    # there is no log to send them to
    "PREFECT_LOGGING_EXTRA_LOGGERS": "deqir.job,deqir.plan,deqir.shards,deqir.ray",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
"""Variables of every run."""

DEPLOYED: Final = RUN_DEFAULTS | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}
"""Variables of a run started by a worker."""

PREFECT_DEFAULTS: Final = RUN_DEFAULTS | {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    # the embedded server needs 8 to 13 s on two idle cores, and Prefect's own limit is 20 s
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""Variables of the command line, which may start its own server."""


def prepare_prefect() -> None:
    """Set Prefect's variables, which it reads at import; variables set by the user stay."""
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)


def prepare_watch() -> None:
    """Set Prefect's variables for a watcher."""
    prepare_prefect()
    # the watcher tries again by itself; Prefect's own attempts would keep it from stopping for a minute
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")


def secret(name: str) -> str | None:
    """Return a secret from the environment; None if unset. Options are no place for it: other users can read them."""
    return os.environ.get(name) or None


def state_folder() -> Path:
    """Return the folder for files to keep over a restart, by the XDG rules: ~/.local/state/deqir."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "deqir"


def use_credentials(variables: Mapping[str, str]) -> None:
    """Set variables for the rest of this process and for its child processes."""
    os.environ.update(variables)
