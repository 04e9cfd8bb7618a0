"""The search for one image's noise: its settings, its steps and its statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

import torch
from torch import Tensor

from deqir.shapes import Float

from .gradients import VJP_COST

Variables = Literal["start", "all"]
GradientName = Literal["exact", "parallel", "phantom"]


class Stop(StrEnum):
    """The reason for the end of one image's search."""

    STEPS = "steps"
    STALLED = "stalled"
    NONFINITE = "nonfinite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """Settings of the optimisation of noise.

    Attributes:
        steps: Most gradient steps of an image.
        variables: "start": the noise of the chain's start alone; "all": the noise of every step too.
        gradient: "exact": T vector-Jacobian products one after another. "parallel": states and adjoints of an iterate
            are each solved all at once, from the iterate before; less depth for more work, for devices with
            room to spare. "phantom": an approximation after `rounds` rounds.
        rounds: Rounds of a phantom gradient; 0 calls the network for no gradient at all.
        tolerance: Relative residual of the parallel solves.
        learning_rate: Adam's; about the move of a value of the noise in a step, in standard deviations.
        patience: Steps without progress before the search ends.
        progress: Least progress, as a share of the best loss.

    Raises:
        ValueError: A name is unknown or a number out of range.
    """

    steps: int = 20
    variables: Variables = "start"
    gradient: GradientName = "exact"
    rounds: int = 0
    tolerance: float = 1e-2
    learning_rate: float = 0.1
    patience: int = 5
    progress: float = 1e-3

    def __post_init__(self) -> None:
        for name, known in (("variables", Variables), ("gradient", GradientName)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, got {getattr(self, name)!r}")
        if min(self.steps, self.rounds) < 0 or self.patience < 1:
            raise ValueError(
                "steps and rounds must be 0 or more and patience at least 1, got "
                f"steps={self.steps}, rounds={self.rounds}, patience={self.patience}"
            )
        if self.learning_rate <= 0 or self.tolerance <= 0:
            raise ValueError(
                "learning_rate and tolerance must be above 0, got "
                f"learning_rate={self.learning_rate}, tolerance={self.tolerance}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimisationStats:
    """Statistics of the search for one image.

    Attributes:
        loss_history: Loss of each iterate; the first is the chain with the given noise.
        best: Place of the kept iterate; 0: the first was the best.
        evaluations: Network evaluations, also of gradients.
        vjps: Vector-Jacobian products of the network.
    """

    stop: Stop
    loss_history: tuple[float, ...]
    best: int
    evaluations: int
    vjps: int

    @property
    def loss_first(self) -> float:
        return self.loss_history[0]

    @property
    def loss_best(self) -> float:
        return self.loss_history[self.best]

    @property
    def nfe(self) -> int:
        """Cost in network evaluations, a vector-Jacobian product counted as `VJP_COST`."""
        return self.evaluations + VJP_COST * self.vjps


class Candidate:
    """The search for one image: its moving noise, its best iterate and its counts."""

    def __init__(self, noise: Float[Tensor, "positions C H W"], settings: Optimisation) -> None:
        self.noise = noise.clone()
        self.best_noise, self.first, self.image = noise, noise[0], noise[0]
        self._settings = settings
        self._leaf = torch.nn.Parameter(self.noise[:1] if settings.variables == "start" else self.noise)
        self._adam = torch.optim.Adam([self._leaf], lr=settings.learning_rate)  # moves `noise`, whose memory it shares
        self._radius, self._unit = _norm(self._leaf), 0.0
        self._history: list[float] = []
        self._best, self._mark, self._marked = 0, 0.0, 0
        self._evaluations, self._vjps, self._stop = 0, 0, Stop.STEPS

    def see(self, image: Float[Tensor, "C H W"], value: float, evaluations: int) -> bool:
        """Take the image of the present noise and its loss; return True if the search goes on."""
        self._evaluations += evaluations
        self._history.append(value)
        place, first = len(self._history) - 1, len(self._history) == 1
        if first:
            self.first, self._mark = image.clone(), value
        if first or value < self._history[self._best]:
            self._best, self.image, self.best_noise = place, image.clone(), self.noise.clone()
        if value < self._mark * (1 - self._settings.progress):
            self._mark, self._marked = value, place
        if not math.isfinite(value):
            self._stop = Stop.NONFINITE
        elif value == 0 or place - self._marked >= self._settings.patience:
            self._stop = Stop.STALLED
        elif place < self._settings.steps:
            return True
        return False

    def slope(self, gradient: Float[Tensor, "positions C H W"]) -> Float[Tensor, ""]:
        """Return the RMS of a gradient over the moving noise."""
        return gradient[: len(self._leaf)].square().mean().sqrt()

    def descend(self, gradient: Float[Tensor, "positions C H W"], size: float, *, evaluations: int) -> bool:
        """Take a step and put the noise of each position back to its norm; return True if the search goes on.

        Args:
            gradient: Gradient of the loss with respect to the noise, which took so many `evaluations` of the network.
            size: The gradient's `slope`; a caller reads the slopes of all images at once.
        """
        self._evaluations, self._vjps = self._evaluations + evaluations, self._vjps + evaluations
        gradient = gradient[: len(self._leaf)]
        if size == 0 or not math.isfinite(size):
            self._stop = Stop.STALLED if size == 0 else Stop.NONFINITE
            return False
        self._unit = self._unit or size  # Adam is blind to gradients below 1e-8, as of means over many pixels
        self._leaf.grad = gradient / self._unit
        self._adam.step()
        self._leaf.mul_(self._radius / _norm(self._leaf))
        return True

    def stats(self) -> OptimisationStats:
        """Return the statistics of the search."""
        return OptimisationStats(
            stop=self._stop,
            loss_history=tuple(self._history),
            best=self._best,
            evaluations=self._evaluations,
            vjps=self._vjps,
        )


def _norm(noise: Float[Tensor, "positions C H W"]) -> Float[Tensor, "positions 1 1 1"]:
    """Return the Euclidean norm at each position, but never 0."""
    size: Tensor = torch.linalg.vector_norm(noise.detach(), dim=(1, 2, 3), keepdim=True)
    return size.clamp(min=torch.finfo(size.dtype).tiny)
