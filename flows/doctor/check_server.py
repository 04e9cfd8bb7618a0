"""Check the Prefect server: its version, pools, workers, schedules, and the automation to end dead runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, StateType, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort

from flows.deployment.automations import ZOMBIES, same, zombies
from flows.deployment.pools import ON_ONE_MACHINE, find_pool, online_workers
from flows.display.summary import counted
from flows.flow.flow_retries import FLOW
from flows.flow.logs import FORMER_LOGGERS
from flows.server import without_password

from .findings import Finding, note, ok, wrong

SUITABLE: Final = {"prefect": ">=3.8.8,<3.9", "fastapi": ">=0.139,<0.151", "sqlalchemy": ">=2,<2.1"}
"""As in pyproject.toml. Neither Prefect nor pip warns: with a newer fastapi the server does not start, and with a newer
sqlalchemy it starts, but no schedule ever fires."""

PLANNED_WITHIN: Final = 20.0
"""Longest time in seconds until a server plans the runs of a new schedule."""
RESUME: Final = "switch it on on its page, or run deqir deploy again with --resume"
UPDATE: Final = "run deqir deploy again, which brings it up to date"
FORMER_ENTRY_POINT: Final = "flows.restore.restore_archive"
LATE: Final = timedelta(minutes=2)
"""A run is late after this time. A polling worker takes a run much sooner."""


def check_versions() -> Finding:
    """Check if the installed versions of Prefect and its packages work together."""
    subject, found = "packages here", {name: installed(name) for name in SUITABLE}
    bad = [
        f"{name} {found[name] or 'missing'} (needed: {needed})"
        for name, needed in SUITABLE.items()
        if found[name] is None or Version(str(found[name])) not in SpecifierSet(needed)
    ]
    if bad:
        return wrong(subject, ", ".join(bad), "pip install -c constraints.txt deqir, also where the server runs")
    return ok(subject, ", ".join(f"{name} {number}" for name, number in found.items()))


def installed(name: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_api(client: SyncPrefectClient) -> Finding:
    """Check if the server and its database answer, and if its version fits the client here."""
    subject, ours = f"server {without_password(str(client.api_url))}", client.client_version()
    theirs = client.api_version()
    if Version(theirs).release[:2] != Version(ours).release[:2]:
        return wrong(
            subject,
            f"runs Prefect {theirs}, but here is {ours}",
            f"pip install prefect=={theirs} here, or {ours} there",
        )
    if not client.request("GET", "/ready").is_success:
        return wrong(subject, "answers, but its database does not", "look at the server's log and at its database")
    return ok(subject, f"answers, Prefect {theirs}")


def check_pool(client: SyncPrefectClient, name: str) -> Iterator[Finding]:
    """Check if a work pool exists, limits its runs, and has a worker."""
    subject, pool = f"work pool {name}", find_pool(client, name)
    if pool is None:
        yield wrong(subject, "does not exist", "run deqir deploy again, which creates it")
        return
    if pool.is_paused:
        yield wrong(subject, "is paused: no run starts", f"prefect work-pool resume {name}")
    else:
        yield ok(subject, f"type {pool.type}")
    yield limit_of(pool)
    yield workers_of(client, pool)


def limit_of(pool: WorkPool) -> Finding:
    """Check if a pool's limit keeps two jobs from sharing a GPU by accident."""
    subject = f"limit of {pool.name}"
    if pool.concurrency_limit is not None:
        return ok(subject, f"{counted(pool.concurrency_limit, 'run')} at a time")
    if pool.type == ON_ONE_MACHINE:
        return wrong(
            subject,
            "is not set: two jobs can share a GPU by accident",
            f"prefect work-pool set-concurrency-limit {pool.name} 1",
        )
    return note(subject, "is not set: the cluster's scheduler has to give each run its own GPUs")


def workers_of(client: SyncPrefectClient, pool: WorkPool) -> Finding:
    """Check if a worker of a pool is online."""
    subject, workers = f"workers of {pool.name}", online_workers(client, pool.name)
    if workers:
        return ok(subject, f"online: {', '.join(workers)}")
    return wrong(subject, "no worker is online", f"where the GPUs are, run: prefect worker start --pool {pool.name}")


def check_watchdog(client: SyncPrefectClient) -> Finding:
    """Check if the server ends runs whose process is gone."""
    subject, do = f"automation {ZOMBIES!r}", "run deqir deploy again, which installs it"
    found = client.read_automations_by_name(ZOMBIES)
    if not found:
        return wrong(subject, "is missing: a run whose process is killed stays Running for ever", do)
    if not found[0].enabled:
        return wrong(subject, "is switched off: a run whose process is killed stays Running for ever", do)
    if not same(found[0], zombies()):
        return note(subject, "comes from another version of deqir", do)
    return ok(subject, "is on")


def check_deployment(client: SyncPrefectClient, deployment: DeploymentResponse) -> Iterator[Finding]:
    """Check if a deployment's runs start in time."""
    subject = f"deployment {deployment.name}"
    if is_former(deployment):
        yield note(subject, "was registered by an earlier version of deqir; its runs go on", UPDATE)
    if deployment.paused:
        yield note(subject, "is paused", RESUME)
    active = [each for each in deployment.schedules if each.active]
    if deployment.schedules and not active:
        yield note(subject, "its schedule is paused", RESUME)
    elif not active:
        yield ok(subject, "has no schedule; people or events start its runs")
    elif not deployment.paused:
        yield check_schedule(client, deployment)
    yield check_late(client, deployment)


def is_former(deployment: DeploymentResponse) -> bool:
    """True if a deployment has the entry point or the names of loggers of an earlier version."""
    loggers = str(deployment.job_variables.get("env", {}).get("PREFECT_LOGGING_EXTRA_LOGGERS", "")).split(",")
    return deployment.entrypoint == FORMER_ENTRY_POINT or not FORMER_LOGGERS.keys().isdisjoint(loggers)


def check_schedule(client: SyncPrefectClient, deployment: DeploymentResponse) -> Finding:
    """Check if the server has planned runs of a schedule; wait for it, as the schedule may be new."""
    subject, deadline = f"schedule of {deployment.name}", time.monotonic() + PLANNED_WITHIN
    while True:
        planned = scheduled(client, deployment, {"after_": datetime.now(UTC)})
        if planned and planned[0].expected_start_time is not None:
            return ok(subject, f"next run at {planned[0].expected_start_time:%Y-%m-%d %H:%M} UTC")
        if time.monotonic() > deadline:
            return wrong(
                subject,
                "the server plans no runs: the schedule will never fire",
                "look for errors of the Scheduler in the server's log; the server needs "
                f"sqlalchemy{SUITABLE['sqlalchemy']}, and must be started without --no-services. A schedule whose "
                "last time is over plans no runs, either",
            )
        time.sleep(1)


def check_late(client: SyncPrefectClient, deployment: DeploymentResponse) -> Finding:
    """Check if no run waits longer than `LATE` for a worker."""
    subject = f"runs of {deployment.name}"
    late = scheduled(client, deployment, {"before_": datetime.now(UTC) - LATE})
    under_way = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    busy = client.count_flow_runs(
        work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [str(deployment.work_pool_name)]}}),
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": under_way}}}),
    )
    if not late:
        return ok(subject, "no run is late")
    if busy:
        return note(subject, f"waiting for their turn: {len(late)}, under way: {busy}")
    since = datetime.now(UTC) - late[0].expected_start_time if late[0].expected_start_time else LATE
    return wrong(
        subject,
        f"{counted(len(late), 'run')} should have started, the first {int(since.total_seconds() / 60)} minutes ago",
        f"start a worker of the pool {deployment.work_pool_name}, or look at its log",
    )


def scheduled(client: SyncPrefectClient, deployment: DeploymentResponse, when: dict[str, datetime]) -> list[FlowRun]:
    """Return up to 20 scheduled runs of a deployment with a start "after_" or "before_" a time, the earliest first."""
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [deployment.id]}}),
        flow_run_filter=FlowRunFilter.model_validate(
            {"state": {"type": {"any_": [StateType.SCHEDULED]}}, "expected_start_time": when}
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=20,
    )


def deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Return the server's deployments of the flow, by name."""
    found = client.read_deployments(flow_filter=FlowFilter.model_validate({"name": {"any_": [FLOW]}}))
    return sorted(found, key=lambda deployment: deployment.name)
