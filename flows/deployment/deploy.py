"""`deqir deploy`: a job that a server knows, with its form, its schedule, its place to run and its watchdog."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Schedule
from prefect.types.entrypoint import EntrypointType
from rich.console import Console

from flows.display.summary import plain
from flows.environment import DEPLOYED
from flows.flow.flow_retries import FLOW
from flows.server import page, server
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.places import refuse_overlap, with_places

from .automations import find_block, install, notification, notification_name, remove, zombies
from .pools import ON_ONE_MACHINE, Pool, ensure_pool, online_workers
from .schedules import in_words

if TYPE_CHECKING:
    from prefect.client.schemas.objects import BlockDocument

DEFAULT_POOL: Final = "deqir"
TAG: Final = "deqir"
UNUSABLE: Final = set("/%&<>\"'\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What `deqir deploy` is to register.

    Attributes:
        name: After "restore-archive/".
        job: The job that its runs do, unless somebody changes it in the form.
        schedule: When it runs by itself, if it does.
        pool: The work pool's name.
        pool_limit: Runs of the pool at a time; None: one, in a pool that is made.
        limit: Runs of this deployment at a time; more of them wait.
        tags: For finding it.
        paused: Its schedule does not start runs; None: as the server has it, and a new one does.
        notify: A block that is told how runs ended, as TYPE/NAME.
    """

    name: str
    job: RestoreJob
    schedule: Schedule | None = None
    pool: str = DEFAULT_POOL
    pool_limit: int | None = None
    limit: int = 1
    tags: tuple[str, ...] = ()
    paused: bool | None = None
    notify: str | None = None

    @property
    def full_name(self) -> str:
        return f"{FLOW}/{self.name}"


def run_deploy(wanted: Deployment) -> None:
    """Register a deployment, and all that it needs on the server, and say what there is now.

    Doing it again changes nothing, or what was said differently.

    Raises:
        ConfigurationError: Something the user has to correct; then nothing is registered.
        JobError: The server refused.
    """
    check(wanted)
    console = Console()
    with server() as client:
        block = find_block(client, wanted.notify) if wanted.notify else None
        pool = ensure_pool(client, wanted.pool, limit=wanted.pool_limit)
        install(client, zombies())
        wanted = settled(client, wanted)
        deployment_id = register(wanted)
        tell_of_ends(client, wanted, deployment_id, block)
        for line in told(wanted, pool, deployment_id, online_workers(client, pool.name)):
            console.print(plain(line), soft_wrap=True)


def check(wanted: Deployment) -> None:
    """Refuse what no run could do, wherever it runs.

    Raises:
        ConfigurationError: A name that Prefect does not allow, or places that do not lie apart.
    """
    if not wanted.name.strip() or UNUSABLE & set(wanted.name):
        raise ConfigurationError(
            f"{wanted.name!r} cannot name a deployment: it needs a character, and none of / % & < > quotes \\"
        )
    job = with_places(wanted.job)
    refuse_overlap("source", job.source, job.destination)
    if job.reference is not None:
        refuse_overlap("reference", job.reference, job.destination)


def settled(client: SyncPrefectClient, wanted: Deployment) -> Deployment:
    """Return a deployment that says whether it is paused: what somebody paused stays so, unless another thing was said.

    The server knows a deployment that is paused, and schedules that are not active.
    """
    if wanted.paused is not None:
        return wanted
    try:
        there = client.read_deployment_by_name(wanted.full_name)
    except ObjectNotFound:
        return replace(wanted, paused=False)
    schedule = wanted.schedule
    if schedule is not None and there.schedules and not any(each.active for each in there.schedules):
        schedule = replace(schedule, active=False)
    return replace(wanted, paused=there.paused, schedule=schedule)


def register(wanted: Deployment) -> UUID:
    """Create or update the deployment on the server and return its id."""
    return UUID(str(deployment_of(wanted).apply()))


def deployment_of(wanted: Deployment) -> RunnerDeployment:
    """Return the deployment as Prefect takes it.

    A run imports the flow from the installed package, so that there is nothing to pull. Its output is not streamed
    to the worker, because a run that does would die with its worker of a broken pipe.
    """
    from flows.flow.restore_archive import restore_archive

    deployment = restore_archive.to_deployment(
        name=wanted.name,
        parameters={"job": wanted.job.model_dump(mode="json")},
        schedules=[wanted.schedule] if wanted.schedule is not None else [],
        paused=bool(wanted.paused),
        concurrency_limit=ConcurrencyLimitConfig(
            limit=wanted.limit, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
        ),
        tags=sorted({TAG, *wanted.tags}),
        description=description(wanted.job),
        work_pool_name=wanted.pool,
        job_variables=job_variables(),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return cast(RunnerDeployment, deployment)  # a coroutine where there is an event loop only


def job_variables() -> dict[str, Any]:
    """Return what the worker does differently for our runs."""
    return {"stream_output": False, "env": dict(DEPLOYED)}


def description(job: RestoreJob) -> str:
    """Return what the deployment's page says of it."""
    return (
        f"Restores the images below {job.source} into {job.destination} ({job.result.degradation.task}). Every run "
        "does what is left and what is new; nothing is done twice and nothing is overwritten."
    )


def tell_of_ends(
    client: SyncPrefectClient, wanted: Deployment, deployment_id: UUID, block: BlockDocument | None
) -> None:
    """Have the server tell the block how runs end; nobody, if there is none."""
    if block is not None:
        install(client, notification(wanted.full_name, deployment_id, block))
    else:
        remove(client, notification_name(wanted.full_name))


def told(wanted: Deployment, pool: Pool, deployment_id: UUID, workers: list[str]) -> list[str]:
    """Return what there is now, and what is to be done next."""
    when = "only when somebody or an event starts it"
    if wanted.schedule is not None:
        paused = wanted.paused or not wanted.schedule.active
        when = in_words(wanted.schedule) + (" (paused; --resume lets it run)" if paused else "")
    runs = f"{pool.limit} at a time" if pool.limit is not None else "no limit"
    lines = [
        f"deployment {wanted.full_name}: {page(f'deployments/deployment/{deployment_id}')}",
        f"runs: {when}",
        f"work pool {pool.name} ({pool.type}): {runs}{', made now' if pool.created else ''}",
        f"start a run: prefect deployment run '{wanted.full_name}'",
    ]
    if wanted.notify:
        lines.append(f"told of how runs end: {wanted.notify}")
    if not workers and pool.type == ON_ONE_MACHINE:
        lines.append(f"no worker is online; start one where the GPUs are: prefect worker start --pool {pool.name}")
    return [*lines, f"check it all: deqir doctor --deployment {wanted.full_name}"]
