"""The number of Ray actors in a cluster, and the resources of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import RuntimeConfig
from pipeline.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Number of actors to start and shares of each; `gpus` is 0 where the work runs on the CPU."""

    actors: int
    gpus: float
    cpus: float

    @property
    def threads(self) -> int:
        """Threads of an actor's arithmetic."""
        return max(1, int(self.cpus))


def place(nodes: Sequence[Mapping[str, float]], runtime: RuntimeConfig) -> Placement:
    """Return the number of actors for the nodes of a cluster, and their shares, as far as `runtime` leaves them open.

    Args:
        nodes: Resources of each living node as Ray names them: "CPU", "GPU".
        runtime: The job's settings.

    Raises:
        ConfigurationError: No node has the GPUs for an actor.
    """
    device, actors, gpus_per_actor = runtime.device, runtime.actors, runtime.gpus_per_actor
    most_gpus = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
    if device == "cuda" and most_gpus == 0:
        raise ConfigurationError("`device` cuda needs a GPU, but no node of the Ray cluster has one: say auto or cpu")
    if device == "cpu" or most_gpus == 0:
        return _on_cpus([node.get("CPU", 0.0) for node in nodes], actors=actors or 1, share=runtime.cpus_per_actor)
    if most_gpus < gpus_per_actor:
        raise ConfigurationError(
            f"gpus_per_actor={gpus_per_actor:g} needs a node with as many GPUs, the largest has {most_gpus:g}"
        )
    room = [(int(node.get("GPU", 0.0) / gpus_per_actor + 1e-9), node.get("CPU", 0.0)) for node in nodes]
    equal = min(cpus / slots for slots, cpus in room if slots)
    return Placement(
        actors=actors or sum(slots for slots, _ in room),
        gpus=gpus_per_actor,
        cpus=runtime.cpus_per_actor or _whole(equal),
    )


def _on_cpus(cpus: Sequence[float], *, actors: int, share: float | None) -> Placement:
    """Return `actors` on equal shares of all CPUs, none larger than a node."""
    equal = min(sum(cpus) / actors, max(cpus, default=0.0))
    return Placement(actors=actors, gpus=0.0, cpus=share or _whole(equal))


def _whole(cpus: float) -> float:
    """Return whole CPUs from 1 up; a cluster still without nodes counts as 1."""
    return float(int(cpus)) if cpus >= 1 else cpus or 1.0
