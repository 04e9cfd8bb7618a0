"""Requests, results and counts of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from torch import Tensor

from deqir.protocols import LinearOperator
from deqir.results import ConvergenceStats
from deqir.shapes import Float

Tag = TypeVar("Tag")
Shape = tuple[int, int, int]


class StartKind(StrEnum):
    """The origin of a chain's start: the request, the prior's networks, or the operator."""

    GIVEN = "given"
    MADE = "made"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request(Generic[Tag]):
    """One image to restore.

    Attributes:
        y: The degraded image in [-1, 1].
        operator: The degradation that made y. Images that share this object are stepped together.
        tag: The caller's name for the image.
        sigma_y: Standard deviation of the noise in y, images in [-1, 1]; 0: y is exact.
        start: An image to start the chain from, such as another restorer's; None: the prior's or the operator's own
            start. If y is exact, `start` is first made to agree with y.
    """

    y: Float[Tensor, "c h w"]
    operator: LinearOperator
    seed: int
    tag: Tag
    sigma_y: float = 0.0
    start: Float[Tensor, "C H W"] | None = None

    @property
    def shape(self) -> Shape:
        """Shape (C, H, W) of the image to restore."""
        return self.operator.image_shape(tuple(self.y.shape))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result(Generic[Tag]):
    """The result of one image, also if its restoration broke: see `stats.outcome`.

    Attributes:
        image: x_0 in [-1, 1] up to sampling error, on the device of the chain; holds nan or inf if the outcome is
            `nonfinite`.
        start: The start of the chain, before noise.
        seconds: The image's share of the time of its rounds.
        steps: Sampling steps T of its chain.
        start_noise: Noise of the start, as a standard deviation of images in [0, 1].
    """

    tag: Tag
    image: Float[Tensor, "C H W"]
    start: Float[Tensor, "C H W"]
    stats: ConvergenceStats
    seconds: float
    steps: int
    start_noise: float
    start_kind: StartKind


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Failed(Generic[Tag]):
    """An image that was given up while the others went on.

    Attributes:
        shape: Shape (C, H, W) of the image to restore.
        error: A `ConvergenceError` of its operator, or an error for which `deqir.hardware.memory.out_of_memory` is
            True: memory ran out although the image was restored alone and step by step.
    """

    tag: Tag
    shape: Shape
    error: Exception


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one run of the engine; grows while it runs.

    Attributes:
        images: Results so far, broken ones included.
        calls: Calls of the network; all tiles of a batch count as one call.
        evaluations: Evaluated images x states, whole or in tiles.
        room: Evaluations for which these calls had room.
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
        """Count evaluations in calls of at most `batch`."""
        calls = -(-evaluations // batch)
        self.calls += calls
        self.evaluations += evaluations
        self.room += calls * batch

    @property
    def occupancy(self) -> float:
        """Used share of the room; 1 before the first call."""
        return self.evaluations / self.room if self.room else 1.0
