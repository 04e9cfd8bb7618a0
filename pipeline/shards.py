"""A shard: a set of input versions, with an id from its content, not from its position in the plan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .status import NO_IMAGES, Counts


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class ImageRef:
    """A version of an input object, and the plan's decision on it.

    Attributes:
        key: Key in the source store.
        etag: The version's tag in the listing.
        size: Bytes in the listing.
        output_key: Key in the destination store; None if the plan refused the input.
        refusal: The reason not to restore the input; None for an input to restore.
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
        """Hash of the input versions. It does not depend on their order."""
        text = "\n".join(f"{ref.key}\0{ref.etag}" for ref in sorted(self.images))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """A worker's answer for a shard: counts and times, never pixels.

    Attributes:
        counts: Rows by status.
        already_committed: The part existed before: another run or actor did this shard.
        rounds: Serial network passes, summed over the shard's images.
        nfe: Network evaluations, summed over the shard's images.
        errors: Class names of the errors in failed and conflict rows, each with its number of images.
        worker: Machine, device and process of the worker.
        seconds: Wall time of the shard.
        solve_seconds: The part of `seconds` spent in rounds of the solver.
        network_calls: Calls of the network, each with a batch of evaluations.
        occupancy: Filled share of the network's batches, 0 to 1.
        halvings: Number of times that memory ran out, and the batch or the side of an image's tiles was halved.
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
        """Rows per second of the shard's wall time; 0 if that time is 0."""
        return self.counts.total / self.seconds if self.seconds else 0.0

    @property
    def evaluations_per_second(self) -> float:
        """Network evaluations per second of solving; 0 if nothing was solved."""
        return self.nfe / self.solve_seconds if self.solve_seconds else 0.0
