"""Shards: sets of input versions, named by content, not by position."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .status import NO_IMAGES, Counts


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class ImageRef:
    """One version of one input object, with its entry in the plan.

    Attributes:
        key: Key in the source store.
        etag: The version's tag as listed.
        size: Bytes as listed.
        output_key: Key in the destination store; None when the plan refused the input.
        refusal: The reason for not restoring the input; None if it is restored.
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
    """A worker's report of a shard: counts, never pixels.

    Attributes:
        counts: Rows by status.
        already_committed: The part existed before; another run or actor did this shard.
        rounds: Sum over the shard's images of serial network passes.
        nfe: Sum over the shard's images of network evaluations.
        errors: Class names of the errors of failed and conflicting images, with their counts.
        worker: Machine, device and process at work.
        seconds: Wall time of the shard.
        solve_seconds: The part of `seconds` spent in rounds of the solver.
        network_calls: Calls of the network, each with a batch of evaluations.
        occupancy: Filled share of these batches, 0..1.
        halvings: Times the batch, or the side of an image's tiles, was halved because memory ran out.
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
        """Images with a row per second of the shard's wall time; 0 if nothing was done."""
        return self.counts.total / self.seconds if self.seconds else 0.0

    @property
    def evaluations_per_second(self) -> float:
        """Network evaluations per second of solving; 0 if nothing was solved."""
        return self.nfe / self.solve_seconds if self.solve_seconds else 0.0
