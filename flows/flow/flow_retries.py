"""Retries of a flow run, for the errors that may pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from pipeline.errors import CommitStateUnknownError, ShardsAbandonedError, StoreUnavailableError

FLOW: Final = "restore-archive"
RETRIES: Final = 2
RETRY_SECONDS: Final = 60
PASSING: Final = (StoreUnavailableError, CommitStateUnknownError, ShardsAbandonedError)


@contextmanager
def retried_where_it_helps() -> Iterator[None]:
    """Let Prefect retry the flow run for errors that may pass; forbid it for all others.

    Prefect has a condition for retries of tasks, but not for retries of flows.
    """
    try:
        yield
    except PASSING:
        raise
    except Exception:
        forgo_retries()
        raise


def forgo_retries() -> None:
    """Have the server fail the current run at its next error, whatever it was to do."""
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    if run is None or not run.empirical_policy.retries:
        return
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, empirical_policy=run.empirical_policy.model_copy(update={"retries": 0}))
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("the run may be retried to no purpose: %s", error)
