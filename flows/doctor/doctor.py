"""`deqir doctor`: check all needs of a scheduled job, and name a remedy for each fault."""

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
from flows.server import server
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError, JobError
from pipeline.fault_text import in_words

from .check_job import check_job, check_ray
from .check_server import check_api, check_deployment, check_pool, check_versions, check_watchdog, deployments
from .findings import Finding, note, ok, show, wrong


def run_doctor(name: str | None) -> None:
    """Print all findings; end the process with status 2 if anything is wrong.

    Stores, Ray and priors are checked from this machine, so run it where the worker runs.

    Args:
        name: The deployment to check; None: all deployments.
    """
    if not show(Console(), findings(name)):
        sys.exit(Exit.USAGE)


def findings(name: str | None) -> Iterator[Finding]:
    """Yield all findings, about the server first."""
    yield check_versions()
    try:
        with server() as client:
            yield from with_server(client, name)
    except JobError as error:
        yield wrong("server", str(error), "start it or correct PREFECT_API_URL; nothing else was checked")


def with_server(client: SyncPrefectClient, name: str | None) -> Iterator[Finding]:
    """Yield the findings about a server and its deployments."""
    yield check_api(client)
    yield check_watchdog(client)
    found = [each for each in deployments(client) if name in (None, each.name)]
    if not found:
        yield (
            note("deployments", "no deployment is registered", "register a deployment: deqir deploy NAME SRC DST")
            if name is None
            else wrong(f"deployment {name}", "does not exist", f"deqir deploy {name} SRC DST")
        )
    for pool in sorted({each.work_pool_name for each in found if each.work_pool_name}):
        yield from check_pool(client, pool)
    for deployment in found:
        yield from check_deployment(client, deployment)
    yield from check_credentials()
    yield from check_jobs(found)


def check_credentials() -> Iterator[Finding]:
    """Take credentials from the block named in the environment, if any, as a run does.

    Later checks in this process use them.
    """
    name = secret(CREDENTIALS_BLOCK)
    if name is None:
        return
    subject = f"credentials block {name}"
    try:
        credentials_from_block()
    except ConfigurationError as error:
        yield wrong(subject, str(error), f"correct the block or {CREDENTIALS_BLOCK}; runs with this environment fail")
    else:
        yield ok(subject, "is there; the next checks use its credentials")


def check_jobs(found: list[DeploymentResponse]) -> Iterator[Finding]:
    """Yield the findings about the jobs of deployments; each cluster is started once."""
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
