"""Create and check the work pool, in which runs wait for a worker, and its limit, which keeps two jobs off a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from pipeline.errors import ConfigurationError

ON_ONE_MACHINE: Final = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The properties of a work pool that deqir needs.

    Attributes:
        name, type: Prefect's name and type of the pool.
        limit: Most runs at a time; None: no limit.
        paused: True if none of its runs start.
        created: True if it was created just now.
    """

    name: str
    type: str
    limit: int | None
    paused: bool
    created: bool = False


def ensure_pool(client: SyncPrefectClient, name: str, *, limit: int | None) -> Pool:
    """Return the work pool of a name; a missing pool is created, for processes.

    An existing pool is not changed. On a single machine only the pool's limit keeps two jobs from sharing its GPUs,
    so a process pool must have a limit. A cluster's scheduler gives each pod its own GPUs.

    Args:
        client: Client of the server.
        name: Name of the pool.
        limit: Most runs at a time; None: 1 in a new pool, any limit in an existing pool.

    Raises:
        ConfigurationError: A process pool has no limit, or an existing pool's limit is not `limit`.
    """
    pool = find_pool(client, name) or make_pool(client, name, limit=limit or 1)
    set_it = f"prefect work-pool set-concurrency-limit {name}"
    if pool.type == ON_ONE_MACHINE and pool.limit is None:
        raise ConfigurationError(
            f"the work pool {name} has no concurrency limit: two jobs could share a GPU by accident; "
            f"run: {set_it} {limit or 1}"
        )
    if limit is not None and pool.limit != limit:
        raise ConfigurationError(
            f"the work pool {name} lets {pool.limit or 'any number of'} runs go at a time, not {limit}; run: "
            f"{set_it} {limit}"
        )
    return pool


def find_pool(client: SyncPrefectClient, name: str) -> Pool | None:
    """Return the work pool of a name; None if it does not exist."""
    try:
        return pool_of(client.read_work_pool(name), created=False)
    except ObjectNotFound:
        return None


def make_pool(client: SyncPrefectClient, name: str, *, limit: int) -> Pool:
    """Return a new pool for processes, or the existing pool if somebody else has just created it."""
    from prefect.workers.process import ProcessWorker

    wanted = WorkPoolCreate(
        name=name,
        type=ON_ONE_MACHINE,
        base_job_template=ProcessWorker.get_default_base_job_template(),
        concurrency_limit=limit,
    )
    try:
        return pool_of(client.create_work_pool(wanted), created=True)
    except ObjectAlreadyExists:
        return pool_of(client.read_work_pool(name), created=False)


def pool_of(pool: WorkPool, *, created: bool) -> Pool:
    """Return the needed properties of a pool."""
    return Pool(
        name=pool.name,
        type=pool.type,
        limit=pool.concurrency_limit,
        paused=pool.is_paused,
        created=created,
    )


def online_workers(client: SyncPrefectClient, pool: str) -> list[str]:
    """Return the names of a pool's workers with a recent heartbeat on the server."""
    workers = client.read_workers_for_work_pool(pool)
    return [worker.name for worker in workers if worker.status == "ONLINE"]
