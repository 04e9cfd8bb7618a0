"""Create and check the work pool, in which runs wait for a worker, and its limit, which keeps two jobs off a GPU."""

from __future__ import annotations

from typing import Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from pipeline.errors import ConfigurationError

ON_ONE_MACHINE: Final = "process"


def check_limit(pool: WorkPool, limit: int | None) -> None:
    """Refuse a work pool with another limit of its runs, or without a needed limit.

    On a single machine only the pool's limit keeps two jobs from sharing its GPUs, so a process pool must have a
    limit. A cluster's scheduler gives each pod its own GPUs.

    Args:
        pool: The pool.
        limit: Wanted number of runs at a time; None: any limit.

    Raises:
        ConfigurationError: A process pool has no limit, or the pool's limit is not `limit`.
    """
    set_it = f"prefect work-pool set-concurrency-limit {pool.name}"
    if pool.type == ON_ONE_MACHINE and pool.concurrency_limit is None:
        raise ConfigurationError(
            f"the work pool {pool.name} has no concurrency limit: two jobs could share a GPU by accident; "
            f"run: {set_it} {limit or 1}"
        )
    if limit is not None and pool.concurrency_limit != limit:
        raise ConfigurationError(
            f"the work pool {pool.name} lets {pool.concurrency_limit or 'any number of'} runs go at a time, not "
            f"{limit}; run: {set_it} {limit}"
        )


def find_pool(client: SyncPrefectClient, name: str) -> WorkPool | None:
    """Return the work pool of a name; None if it does not exist."""
    try:
        return client.read_work_pool(name)
    except ObjectNotFound:
        return None


def make_pool(client: SyncPrefectClient, name: str, *, limit: int) -> WorkPool:
    """Return a new pool for processes, or the existing pool if somebody else has just created it."""
    from prefect.workers.process import ProcessWorker

    wanted = WorkPoolCreate(
        name=name,
        type=ON_ONE_MACHINE,
        base_job_template=ProcessWorker.get_default_base_job_template(),
        concurrency_limit=limit,
    )
    try:
        return client.create_work_pool(wanted)
    except ObjectAlreadyExists:
        return client.read_work_pool(name)


def online_workers(client: SyncPrefectClient, pool: str) -> list[str]:
    """Return the names of a pool's workers with a recent heartbeat on the server."""
    workers = client.read_workers_for_work_pool(pool)
    return [worker.name for worker in workers if worker.status == "ONLINE"]
