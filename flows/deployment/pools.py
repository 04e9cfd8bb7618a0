"""The work pool: where runs wait for a worker, and the limit that keeps two jobs off one GPU."""

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
    """A work pool as far as we care.

    Attributes:
        name, type: As Prefect has them.
        limit: Runs at a time; None: as many as there are.
        paused: Nothing of it starts.
        created: It was made just now.
    """

    name: str
    type: str
    limit: int | None
    paused: bool
    created: bool = False


def ensure_pool(client: SyncPrefectClient, name: str, *, limit: int | None) -> Pool:
    """Return the work pool of that name; one that is not there is made, for processes.

    A pool that is there stays as it is. On one machine nothing but the pool's limit keeps two jobs from sharing
    its GPUs, so a process pool has to have one; a cluster's scheduler gives each pod GPUs of its own.

    Args:
        client: Of the server.
        name: The pool's.
        limit: Runs at a time of a pool that is made; None: one.

    Raises:
        ConfigurationError: A process pool has no limit, or another one than `limit`.
    """
    pool = find_pool(client, name) or make_pool(client, name, limit=limit or 1)
    set_it = f"prefect work-pool set-concurrency-limit {name}"
    if pool.type == ON_ONE_MACHINE and pool.limit is None:
        raise ConfigurationError(
            f"the work pool {name} has no concurrency limit, so that two jobs could share a GPU by accident; "
            f"run: {set_it} {limit or 1}"
        )
    if limit is not None and pool.limit != limit:
        raise ConfigurationError(
            f"the work pool {name} lets {pool.limit or 'any number of'} runs go at a time, not {limit}; run: "
            f"{set_it} {limit}"
        )
    return pool


def find_pool(client: SyncPrefectClient, name: str) -> Pool | None:
    """Return the work pool of that name; None if there is none."""
    try:
        return pool_of(client.read_work_pool(name), created=False)
    except ObjectNotFound:
        return None


def make_pool(client: SyncPrefectClient, name: str, *, limit: int) -> Pool:
    """Return a new pool for processes; the one of somebody faster, if there is one."""
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
    """Return what we care for of a pool."""
    return Pool(
        name=pool.name,
        type=pool.type,
        limit=pool.concurrency_limit,
        paused=pool.is_paused,
        created=created,
    )


def online_workers(client: SyncPrefectClient, pool: str) -> list[str]:
    """Return the names of the workers of a pool that the server has heard of lately."""
    workers = client.read_workers_for_work_pool(pool)
    return [worker.name for worker in workers if worker.status == "ONLINE"]
