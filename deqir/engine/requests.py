"""What goes into the engine and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from deqir.protocols import LinearOperator
from deqir.results import ConvergenceStats
from deqir.shapes import Float

Tag = TypeVar("Tag")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request(Generic[Tag]):
    """One image to restore.

    Attributes:
        y: The degraded image in [-1, 1].
        operator: The degradation that made it. Images are stepped together where they share the object.
        seed: Of the image's noise.
        tag: Whatever the caller knows it by.
        sigma_y: Standard deviation of the noise in y, images in [-1, 1]; 0: y is exact.
        start: What the chain starts from instead of the prior's or the operator's own start, such as another restorer's
            image; where y is exact it is first made to agree with y.
    """

    y: Float[Tensor, "c h w"]
    operator: LinearOperator
    seed: int
    tag: Tag
    sigma_y: float = 0.0
    start: Float[Tensor, "C H W"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result(Generic[Tag]):
    """One image that was restored, or whose restoration broke: see `stats.outcome`.

    Attributes:
        tag: The request's.
        image: x_0 in [-1, 1] up to sampling error, where the chain's arithmetic ran; holds nan or inf where the
            outcome is `nonfinite`.
        start: The image that the chain started from, before noise.
        stats: How the solve went.
        seconds: The image's share of the time of the rounds that it took part in.
    """

    tag: Tag
    image: Float[Tensor, "C H W"]
    start: Float[Tensor, "C H W"]
    stats: ConvergenceStats
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Failed(Generic[Tag]):
    """An image that was given up, while the others went on.

    Attributes:
        tag: The request's.
        shape: Of the image that was to be restored, (C, H, W).
        error: Why: memory ran out though it was restored alone and step by step (`deqir.hardware.memory.out_of_memory`
            tells), or a `ConvergenceError` of its operator.
    """

    tag: Tag
    shape: tuple[int, int, int]
    error: Exception


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one run of the engine; grows while it runs.

    Attributes:
        images: Results so far, broken ones included.
        rounds: Rounds so far.
        calls: Calls of the network; where it sees tiles, all that an image, or a batch of them, is cut into are one.
        evaluations: Images x states that the network saw, whole or in tiles.
        room: Evaluations that those calls had room for.
        halvings: Times that memory ran out and the batch, or the side of an image's tiles, was halved.
        seconds: Time spent in rounds.
    """

    images: int = 0
    rounds: int = 0
    calls: int = 0
    evaluations: int = 0
    room: int = 0
    halvings: int = 0
    seconds: float = 0.0

    def count(self, evaluations: int, *, batch: int) -> None:
        """Note so many evaluations in calls of at most `batch`."""
        calls = -(-evaluations // batch)
        self.calls, self.evaluations, self.room = (
            self.calls + calls,
            self.evaluations + evaluations,
            self.room + calls * batch,
        )

    @property
    def occupancy(self) -> float:
        """Share of the room that was used; 1 before the first call."""
        return self.evaluations / self.room if self.room else 1.0
