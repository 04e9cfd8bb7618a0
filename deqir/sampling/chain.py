"""The noise levels of a sampling chain and the weights of fresh and predicted noise in each step.

Equation numbers here and in the other modules of this folder refer to docs/algorithm.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from deqir.defaults import Defaults
from deqir.linalg.device_constant import Constant
from deqir.shapes import Float

from .schedule import NoiseSchedule, alpha_bar_of, sigma_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain:
    """Coefficients of x_{i+1} = sqrt(alpha_bar_{i+1}) x_tilde_i + c1_i z_i + c2_i e_i, i < T, in float64.

    The index is the position along the chain: position 0 holds the initial noise (the field's x_T), position
    T the restored image (the field's x_0), so alpha_bar[T] = 1.

    Attributes:
        alpha_bar: Level of each position, rising to exactly 1, shape (T + 1,).
        c1: Weight of the fresh noise z_i, shape (T,).
        c2: Weight of the predicted noise e_i, shape (T,).
        kappa: Most noise that each step takes from data, as a share of the level of the next state, above 0 and at most
            1, shape (T,); None: all of it, and no fresh noise beside it (docs/algorithm.md, "Noise in y").
        prior_error: Error of the last data prediction, as a share of the noise in its state; 0 takes no noisy data in
            the last step.
        weights: sqrt(alpha_bar_i), sqrt(1 - alpha_bar_i), both of i + 1, c1_i, c2_i and, if any, kappa_i of each step.
        steps: Number of steps T.

    Raises:
        ValueError: The levels do not rise to 1, the weights have another length, or a kappa is out of range.
    """

    alpha_bar: Float[Tensor, " positions"]
    c1: Float[Tensor, " T"]
    c2: Float[Tensor, " T"]
    kappa: Float[Tensor, " T"] | None = None
    prior_error: float = Defaults.PRIOR_ERROR
    weights: Float[Tensor, "weights T"] = field(init=False)
    steps: int = field(init=False)
    _levels: Constant = field(init=False, repr=False)
    _weights: Constant = field(init=False, repr=False)

    def __post_init__(self) -> None:
        a = self.alpha_bar
        if len(a) < 2 or float(a[-1]) != 1 or not bool((a.diff() > 0).all()) or float(a[0]) <= 0:
            raise ValueError("a chain's alpha_bar must rise strictly from above 0 to exactly 1")
        if not len(self.c1) == len(self.c2) == len(a) - 1:
            raise ValueError(
                f"a chain of {len(a) - 1} steps needs as many c1 and c2, got {len(self.c1)}, {len(self.c2)}"
            )
        here, there = a[:-1], a[1:]
        weights = [here.sqrt(), (1 - here).sqrt(), there.sqrt(), (1 - there).sqrt(), self.c1, self.c2]
        if self.kappa is not None:
            if len(self.kappa) != len(self.c1) or not bool(((self.kappa > 0) & (self.kappa <= 1)).all()):
                raise ValueError(f"a chain of {len(self.c1)} steps needs as many kappa above 0 and up to 1")
            weights.append(self.kappa)
        object.__setattr__(self, "weights", torch.stack(weights))
        object.__setattr__(self, "steps", len(self.c1))
        object.__setattr__(self, "_levels", Constant(a))
        object.__setattr__(self, "_weights", Constant(self.weights))

    @classmethod
    def with_eta(
        cls,
        alpha_bar: Float[Tensor, " positions"],
        eta: float,
        *,
        kappa: Float[Tensor, " T"] | None = None,
        prior_error: float = Defaults.PRIOR_ERROR,
    ) -> Chain:
        """Return the chain (3) whose noise is fresh to the share eta: c1 = eta s, c2 = sqrt(1 - eta^2) s.

        s = sqrt(1 - alpha_bar_{i+1}), so the level after a step is right whatever eta: 0 is DDIM's
        deterministic step, 1 draws all noise anew (DDNM, https://arxiv.org/abs/2212.00490, algorithm 1).
        """
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must lie in 0..1, got {eta}")
        s = (1 - alpha_bar[1:]).sqrt()
        fresh, predicted = eta * s, math.sqrt(1 - eta**2) * s
        return cls(alpha_bar=alpha_bar, c1=fresh, c2=predicted, kappa=kappa, prior_error=prior_error)

    @classmethod
    def between(
        cls,
        start_noise: float,
        end_noise: float,
        *,
        steps: int,
        eta: float,
        spacing: Literal["geometric", "linear"] = "geometric",
        kappa: tuple[float, float] | None = None,
        prior_error: float = Defaults.PRIOR_ERROR,
    ) -> Chain:
        """Return a chain from noise `start_noise` down to `end_noise`, then to the clean image (2).

        Args:
            start_noise: Noise at position 0, as a standard deviation of images in [0, 1].
            end_noise: Noise at position steps - 1, in the same unit; unused when steps is 1.
            steps: Number of steps T.
            eta: Share of fresh noise, 0..1.
            spacing: How the noise falls between the two.
            kappa: Share of noisy data at the first and at the last level, linear in log sigma between them; None: the
                rule without kappa.
            prior_error: See `Chain`.
        """
        if steps < 1:
            raise ValueError(f"a chain needs at least 1 step, got {steps}")
        if start_noise <= 0 or end_noise <= 0 or (steps > 1 and end_noise >= start_noise):
            raise ValueError(
                f"noise must fall along the chain and stay above 0, got start_noise={start_noise:.4g} and "
                f"end_noise={end_noise:.4g}"
            )
        ends = torch.tensor([start_noise, end_noise], dtype=torch.float64)
        weight = torch.linspace(0, 1, steps, dtype=torch.float64)
        if spacing == "geometric":
            noise = torch.lerp(ends[0].log(), ends[1].log(), weight).exp()
        else:
            noise = torch.lerp(ends[0], ends[1], weight)
        sigma = torch.cat([2 * noise, torch.zeros(1, dtype=torch.float64)])  # [-1, 1] is twice as wide
        shares = None if kappa is None else _between(*kappa, noise)
        return cls.with_eta(alpha_bar_of(sigma), eta, kappa=shares, prior_error=prior_error)

    @classmethod
    def from_schedule(cls, schedule: NoiseSchedule, *, steps: int, eta: float) -> Chain:
        """Return the published choice: evenly spaced timesteps from the schedule's noisiest level."""
        return cls.with_eta(schedule.alpha_bar[schedule.timesteps(steps)], eta)

    def levels(self, first: int, count: int, device: torch.device) -> Float[Tensor, " count"]:
        """Return alpha_bar of `count` positions from `first` on, on a device."""
        return self._levels.on(device, self.alpha_bar.dtype)[first : first + count]

    def weights_of(self, positions: Sequence[int], like: Tensor) -> Float[Tensor, "weights N"]:
        """Return the weights of the steps from some positions, where `like` is and in its precision.

        They are cut out of a copy on the device: positions would have to be sent, a wait in every round.
        """
        weights, parts, first = self._weights.like(like), list[Tensor](), positions[0]
        if all(position == first for position in positions):  # images that started together
            return weights[:, first : first + 1].expand(-1, len(positions))
        for _, run in groupby(enumerate(positions), lambda place: place[1] - place[0]):
            here = [position for _, position in run]
            parts.append(weights[:, here[0] : here[-1] + 1])
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    @property
    def sigma(self) -> Float[Tensor, " positions"]:
        """Noise level of each position for images in [-1, 1]; sigma[T] = 0."""
        return sigma_of(self.alpha_bar)


def _between(first: float, last: float, noise: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Return numbers from `first` to `last`, linear in the logarithm of the noise."""
    fall = noise.log() - noise[0].log()
    return first + (last - first) * fall / torch.where(fall[-1] < 0, fall[-1], -1.0)
