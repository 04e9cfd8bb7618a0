"""What a shard is: a set of input versions, named by content, not by position."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .status import NO_IMAGES, Counts


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class ImageRef:
    """One version of one input object, and what the plan decided about it.

    Attributes:
        key: Key in the source store.
        etag: The version's tag as listed.
        size: Bytes as listed.
        output_key: Key in the destination store; None when the plan refused the input.
        refusal: Why the input is not restored; None when it is.
        refusal_type: "" for a skip (not an image by its name), else the class name of the ImageError.
    """

    key: str
    etag: str
    size: int
    output_key: str | None = None
    refusal: str | None = None
    refusal_type: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of work, of retry and of commit."""

    images: tuple[ImageRef, ...]

    @property
    def id(self) -> str:
        """Hash of the input versions: the same set has the same id, whatever their order."""
        text = "\n".join(f"{ref.key}\0{ref.etag}" for ref in sorted(self.images))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """All that travels back from a worker: counts, never pixels.

    Attributes:
        counts: Rows by status.
        already_committed: The part existed before; another run or actor did this shard.
        rounds: Sum over the shard's images of serial network passes.
        nfe: Sum over the shard's images of network evaluations.
        errors: Class names of what images failed of or were in conflict for, with how many of each.
        worker: Machine, device and process that did it.
        seconds: Wall time of the shard.
        solve_seconds: The part of it that went into rounds of the solver.
        network_calls: Calls of the network, each with a batch of evaluations.
        occupancy: Share of those batches that was filled, 0..1.
        halvings: Times that memory ran out and the batch, or the side of an image's tiles, was halved.
    """

    shard_id: str
    counts: Counts = NO_IMAGES
    already_committed: bool = False
    rounds: int = 0
    nfe: int = 0
    errors: tuple[tuple[str, int], ...] = ()
    worker: str = ""
    seconds: float = 0.0
    solve_seconds: float = 0.0
    network_calls: int = 0
    occupancy: float = 1.0
    halvings: int = 0

    @property
    def images_per_second(self) -> float:
        """Images with a row per second of the shard's wall time; 0 where nothing was done."""
        return self.counts.total / self.seconds if self.seconds else 0.0

    @property
    def evaluations_per_second(self) -> float:
        """Network evaluations per second of solving; 0 where nothing was solved."""
        return self.nfe / self.solve_seconds if self.solve_seconds else 0.0
