"""`deqir deploy`: register a job on a server, with its form, schedule, work pool and automations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, WorkPool
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
from .pools import ON_ONE_MACHINE, check_limit, find_pool, make_pool, online_workers
from .schedules import in_words

DEFAULT_POOL: Final = "deqir"
TAG: Final = "deqir"
UNUSABLE: Final = set("/%&<>\"'\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment to register.

    Attributes:
        name: Name after "restore-archive/".
        job: Job of its runs, unless changed in the form.
        schedule: When it runs by itself; None: never.
        pool: Name of the work pool.
        pool_limit: Most runs of the pool at a time; None: 1 in a new pool, and no change to an existing pool.
        limit: Most runs of this deployment at a time; further runs wait.
        tags: Tags to find it by.
        paused: True if its schedule does not start runs; None: as on the server, False for a new deployment.
        notify: Block to notify of the ends of runs, as TYPE/NAME.
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
    """Register a deployment and all it needs on the server, and print the result.

    Another call with the same deployment changes nothing; with another deployment of the same name it changes only
    the differences.

    Raises:
        ConfigurationError: The user has to correct an option; nothing was registered.
        JobError: The server refused.
    """
    check(wanted)
    console = Console()
    with server() as client:
        block = find_block(client, wanted.notify) if wanted.notify else None
        known = find_pool(client, wanted.pool)
        pool = known or make_pool(client, wanted.pool, limit=wanted.pool_limit or 1)
        check_limit(pool, wanted.pool_limit)
        install(client, zombies())
        wanted = settled(client, wanted)
        deployment_id = UUID(str(deployment_of(wanted).apply()))
        if block is not None:
            install(client, notification(wanted.full_name, deployment_id, block))
        else:
            remove(client, notification_name(wanted.full_name))
        workers = online_workers(client, pool.name)
        for line in told(wanted, pool, deployment_id, workers, created=known is None):
            console.print(plain(line), soft_wrap=True)


def check(wanted: Deployment) -> None:
    """Refuse a deployment that could run nowhere.

    Raises:
        ConfigurationError: Prefect does not allow the name, or the source or reference overlaps the destination.
    """
    if not wanted.name.strip() or UNUSABLE & set(wanted.name):
        raise ConfigurationError(
            f"{wanted.name!r} cannot name a deployment: a name must not be empty, nor contain / % & < > \\ or quotes"
        )
    job = with_places(wanted.job)
    refuse_overlap("source", job.source, job.destination)
    if job.reference is not None:
        refuse_overlap("reference", job.reference, job.destination)


def settled(client: SyncPrefectClient, wanted: Deployment) -> Deployment:
    """Return the deployment with `paused` as True or False: from the options, else as it is on the server.

    On the server a deployment can be paused, or each of its schedules can be inactive; both stay.
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


def deployment_of(wanted: Deployment) -> RunnerDeployment:
    """Return the deployment in Prefect's form.

    A run imports the flow from the installed package, so there is no code to pull.
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
        # an output streamed to the worker would end the run with the worker, by a broken pipe
        job_variables={"stream_output": False, "env": dict(DEPLOYED)},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return cast(RunnerDeployment, deployment)  # a coroutine where there is an event loop only


def description(job: RestoreJob) -> str:
    """Return the text of the deployment's page."""
    return (
        f"Restores the images below {job.source} into {job.destination} ({job.result.degradation.task}). Every run "
        "restores the images that are left or new; no image is restored twice, and no file is overwritten."
    )


def told(wanted: Deployment, pool: WorkPool, deployment_id: UUID, workers: list[str], *, created: bool) -> list[str]:
    """Return lines about the registered deployment, and the next commands; `created` tells if the pool is new."""
    when = "only when somebody or an event starts it"
    if wanted.schedule is not None:
        paused = wanted.paused or not wanted.schedule.active
        when = in_words(wanted.schedule) + (" (paused; --resume lets it run)" if paused else "")
    runs = f"{pool.concurrency_limit} at a time" if pool.concurrency_limit is not None else "no limit"
    lines = [
        f"deployment {wanted.full_name}: {page(f'deployments/deployment/{deployment_id}')}",
        f"runs: {when}",
        f"work pool {pool.name} ({pool.type}): {runs}{', created now' if created else ''}",
        f"start a run: prefect deployment run '{wanted.full_name}'",
    ]
    if wanted.notify:
        lines.append(f"notified of the ends of runs: {wanted.notify}")
    if not workers and pool.type == ON_ONE_MACHINE:
        lines.append(f"no worker is online; start one where the GPUs are: prefect worker start --pool {pool.name}")
    return [*lines, f"check everything: deqir doctor --deployment {wanted.full_name}"]
