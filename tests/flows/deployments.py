"""Deployments that tests register with the Prefect server of this process's settings."""

from __future__ import annotations

from typing import Any, Final

from pipeline.config import RestoreJob

JOB: Final = RestoreJob(source="s3://archive/in", destination="s3://archive/out")


def register(name: str, job: RestoreJob = JOB, **options: Any) -> None:
    """Register a deployment as `deqir deploy` does; takes the options of `Deployment`."""
    from flows.deployment.deploy import Deployment, run_deploy

    run_deploy(Deployment(name=name, job=job, **options))


def schedule(**options: str) -> Any:
    """A schedule by its options at the command line."""
    from flows.deployment.schedules import schedule_of

    return schedule_of(**{"cron": None, "interval": None, "rrule": None, "timezone": None} | options)
