"""Count, create and check the runs of a deployment on a Prefect server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectException

from flows.events.repeat import TryLaterError
from flows.server import server_url, without_password
from pipeline.errors import ConfigurationError
from pipeline.store import check_place

ACTIVE: Final = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
]
SERVER_PAGE: Final = 200


class End(StrEnum):
    """The ways in which a run can end."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    """A user cancelled it."""
    FAILED = "failed"
    """It failed or crashed; another run may succeed."""
    REFUSED = "refused"
    """It never began, as the deployment's concurrency limit was reached."""
    LOST = "lost"
    """The server does not know it: it was deleted, or the server lost its last writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment of the restoration flow.

    Attributes:
        id: Its id on the server.
        job: The default job of its runs, as the server keeps it.
    """

    id: UUID
    job: Mapping[str, Any]

    @property
    def source(self) -> str:
        return str(self.job["source"])

    @property
    def destination(self) -> str:
        return str(self.job["destination"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs of a deployment.

    Attributes:
        client: Client of the server.
        name: "flow/deployment".
    """

    client: SyncPrefectClient
    name: str

    def deployment(self) -> Deployment:
        """Return the deployment as it is now.

        Raises:
            ConfigurationError: The name is unknown, or the deployment's job has no valid source and destination.
            TryLaterError: The server does not answer.
        """
        try:
            with answering():
                found = self.client.read_deployment_by_name(self.name)
        except ObjectNotFound as error:
            raise ConfigurationError(
                f"the Prefect server has no deployment {self.name!r}; register it with deqir deploy"
            ) from error
        job: Any = found.parameters.get("job")
        match job:
            case {"source": str(source), "destination": str(destination)}:
                check_place(source)
                check_place(destination)
                return Deployment(id=found.id, job=job)
            case _:
                raise ConfigurationError(
                    f"the deployment {self.name} has no job with source and destination among its parameters; "
                    "register it with deqir deploy"
                )

    def active(self, deployment: Deployment) -> int:
        """Return the number of runs due or under way, without the runs planned by a schedule for later.

        Raises:
            TryLaterError: The server does not answer.
        """
        of = DeploymentFilter.model_validate({"id": {"any_": [deployment.id]}})
        unfinished = FlowRunFilter.model_validate({"state": {"type": {"any_": ACTIVE}}})
        planned = FlowRunFilter.model_validate(
            {
                "state": {"type": {"any_": [StateType.SCHEDULED]}},
                "tags": {"all_": ["auto-scheduled"]},
                "expected_start_time": {"after_": datetime.now(UTC)},
            }
        )
        with answering():
            count = self.client.count_flow_runs(deployment_filter=of, flow_run_filter=unfinished)
            return count - self.client.count_flow_runs(deployment_filter=of, flow_run_filter=planned)

    def create(self, deployment: Deployment, job: Mapping[str, Any], /, *, key: str) -> str:
        """Create a run with an idempotency key, unless a run has this key already; return the run's id.

        Raises:
            TryLaterError: The server does not answer. The run may exist; the same call will return it.
        """
        with answering():
            run = self.client.create_flow_run_from_deployment(
                deployment.id, parameters={"job": dict(job)}, idempotency_key=key, tags=["events"]
            )
        return str(run.id)

    def ends(self, ids: Sequence[str], /) -> dict[str, End]:
        """Return the ends of the ended runs, by id.

        Raises:
            TryLaterError: The server does not answer.
        """
        ended = dict[str, End]()
        for start in range(0, len(ids), SERVER_PAGE):
            some = ids[start : start + SERVER_PAGE]
            wanted = FlowRunFilter.model_validate({"id": {"any_": [UUID(id) for id in some]}})
            with answering():
                found = self.client.read_flow_runs(flow_run_filter=wanted, limit=SERVER_PAGE)
            ended |= dict.fromkeys(set(some) - {str(run.id) for run in found}, End.LOST)
            ended |= {str(run.id): end for run in found if (end := end_of(run)) is not None}
        return ended


def end_of(run: FlowRun) -> End | None:
    """Return the end of a run; None if it has not ended."""
    state = run.state
    match state and state.type:
        case StateType.COMPLETED:
            return End.COMPLETED
        case StateType.FAILED | StateType.CRASHED:
            return End.FAILED
        case StateType.CANCELLED:
            refused = state is not None and "concurrency limit" in (state.message or "")
            return End.REFUSED if refused else End.CANCELLED
        case _:
            return None


@contextmanager
def open_runs(name: str) -> Iterator[Runs]:
    """Give the runs of a deployment, "flow/deployment", on the server named in Prefect's settings.

    Raises:
        ConfigurationError: The settings name no server; Prefect would start a temporary server.
    """
    if name.count("/") != 1:
        raise ConfigurationError(f"a deployment's name is restore-archive/NAME, got {name!r}")
    server_url()  # raises where a client would start a server of its own
    with get_client(sync_client=True) as client:
        yield Runs(client=client, name=name)


@contextmanager
def answering() -> Iterator[None]:
    """Turn a server's silence or refusal into a TryLaterError; ObjectNotFound passes unchanged."""
    try:
        yield
    except ObjectNotFound:
        raise
    except (httpx.HTTPError, PrefectException) as error:
        raise TryLaterError(f"the Prefect server: {without_password(str(error)) or type(error).__name__}") from error
