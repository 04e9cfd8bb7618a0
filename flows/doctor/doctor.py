"""`deqir doctor`: does everything work that a scheduled job needs, and if not, what is to be done."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from pydantic import ValidationError
from rich.console import Console

from flows.credentials import credentials_from_block
from flows.display.exit_status import Exit
from flows.environment import CREDENTIALS_BLOCK, secret
from flows.flow.flow_retries import FLOW
from flows.server import server
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError, JobError
from pipeline.fault_text import in_words

from .check_job import check_job, check_ray
from .check_server import check_api, check_deployment, check_pool, check_versions, check_watchdog, deployments
from .findings import Finding, note, ok, show, wrong


def run_doctor(name: str | None) -> None:
    """Print what there is and what is wrong; end the process with status 2 if anything is.

    What concerns stores, Ray and priors is checked from here, so it is to be run where the worker runs.

    Args:
        name: The deployment to look at; None: all of them.
    """
    if not show(Console(), findings(name)):
        sys.exit(Exit.USAGE)


def findings(name: str | None) -> Iterator[Finding]:
    """Yield everything that is found, the server's side first."""
    yield check_versions()
    try:
        with server() as client:
            yield from with_server(client, name)
    except JobError as error:
        yield wrong("server", str(error), "start it or correct PREFECT_API_URL; nothing else was checked")


def with_server(client: SyncPrefectClient, name: str | None) -> Iterator[Finding]:
    """Yield what is found with a server that answers."""
    yield check_api(client)
    yield check_watchdog(client)
    found = [each for each in deployments(client, FLOW) if name in (None, each.name)]
    if not found:
        yield (
            note("deployments", "there is none", "register one: deqir deploy NAME SRC DST")
            if name is None
            else wrong(f"deployment {name}", "there is none of that name", f"deqir deploy {name} SRC DST")
        )
    for pool in sorted({each.work_pool_name for each in found if each.work_pool_name}):
        yield from check_pool(client, pool)
    for deployment in found:
        yield from check_deployment(client, deployment)
    yield from check_credentials()
    yield from check_jobs(found)


def check_credentials() -> Iterator[Finding]:
    """Take credentials out of the block that the environment names, as a run does; nothing where it names none.

    What is checked later in this process has them.
    """
    name = secret(CREDENTIALS_BLOCK)
    if name is None:
        return
    what = f"credentials block {name}"
    try:
        credentials_from_block()
    except ConfigurationError as error:
        yield wrong(what, str(error), f"correct the block or {CREDENTIALS_BLOCK}; runs with this environment fail")
    else:
        yield ok(what, "is there; what follows is checked with its credentials")


def check_jobs(found: list[DeploymentResponse]) -> Iterator[Finding]:
    """Yield what is found of the jobs of deployments; each cluster is started once."""
    clusters = set[str | None]()
    for deployment in found:
        try:
            job = RestoreJob.model_validate(deployment.parameters.get("job"))
        except ValidationError as error:
            yield wrong(
                f"parameters of {deployment.name}",
                f"are not a job of this version: {in_words(error)}",
                "run deqir deploy again",
            )
            continue
        yield from check_job(job)
        if job.runtime.executor == "ray":
            clusters.add(job.runtime.ray_address)
    for address in sorted(clusters, key=str):
        yield check_ray(address)
