"""The choice of the executor by a job's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config import RuntimeConfig
from pipeline.execution.local import LocalExecutor
from pipeline.execution.protocol import Executor

if TYPE_CHECKING:
    from pipeline.execution.ray.executor import RayExecutor


def executor_of(runtime: RuntimeConfig) -> Executor:
    """Return the executor of the job's shards."""
    if runtime.executor == "local":
        return LocalExecutor(attempts=runtime.attempts)
    return ray_executor_of(runtime)


def ray_executor_of(runtime: RuntimeConfig) -> RayExecutor:
    """Return the executor of the job's shards on Ray."""
    from pipeline.execution.ray.executor import RayExecutor  # takes a third of a second to import

    return RayExecutor(
        actors=runtime.actors,
        gpus_per_actor=runtime.gpus_per_actor,
        cpus_per_actor=runtime.cpus_per_actor,
        attempts=runtime.attempts,
        device=runtime.device,
        address=runtime.ray_address,
    )
