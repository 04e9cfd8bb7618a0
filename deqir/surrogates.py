"""Stand-ins for the Jacobian of the data prediction: what a change of a state does to it, without the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .dct import analyse, synthesise
from .protocols import Linearization


@dataclass(frozen=True, slots=True)
class FrozenEps:
    """The predicted noise stays as it is, so the data prediction takes the whole change: the published form."""

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization:
        return lambda i, rows, u, x0_hat, du: du


@dataclass(frozen=True, slots=True)
class FrozenData:
    """The data prediction stays as it is: unrolling contracts, where FrozenEps amplifies."""

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization:
        return lambda i, rows, u, x0_hat, du: torch.zeros_like(du)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiener:
    """The change passes through a shrinkage in an overlapping 8 x 8 DCT with gains p / (p + kappa sigma^2).

    p is the squared coefficient of the data prediction itself.

    Attributes:
        kappa: How strongly noise is held back.
        cap: Largest gain; nearer to 1 the scan no longer contracts at eta = 1.
    """

    kappa: float = 3.0
    cap: float = 0.9

    def gain(self, x0_hat: Tensor, sigma: float) -> Tensor:
        """Return the gain of each coefficient, not yet capped."""
        p = analyse(x0_hat).square_()
        gain = p.div_(p + self.kappa * sigma**2)
        gain[:, 0] = 1  # a denoiser leaves a block's mean alone, also where it happens to be near zero
        return gain

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization:
        def jacobian(i: int, rows: Tensor, u: Tensor, x0_hat: Tensor, du: Tensor, /) -> Tensor:
            gain = self.gain(x0_hat, sigma[i]).clamp_(max=self.cap)
            return synthesise(analyse(du) * gain, du.shape)

        return jacobian


@dataclass(frozen=True, slots=True, kw_only=True)
class Secant:
    """The gain of each DCT coefficient is what past rounds showed: <T du, T dx0_hat> / <T du, T du>.

    Sums run over 3 x 3 neighbours and over past rounds with weight `memory` each; where there is little
    evidence the gain is pulled to the Wiener gain. Costs no network evaluation and depends on no prior.

    Attributes:
        wiener: The gain without evidence.
        pull: Weight of that gain, relative to the mean evidence of the state.
        memory: Weight of a past round against the next one.
        cap: Largest gain.
    """

    wiener: Wiener = Wiener()
    pull: float = 0.1
    memory: float = 0.5
    cap: float = 0.9

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization:
        return _SecantMemory(self, sigma, batch)


class _Evidence:
    """What past rounds showed at one position, for every image of the batch."""

    __slots__ = ("den", "num", "u", "x0_hat")

    def __init__(self, u: Tensor, x0_hat: Tensor, batch: int) -> None:
        self.u, self.x0_hat = u.new_zeros(batch, *u.shape[1:]), x0_hat.new_zeros(batch, *u.shape[1:])
        self.num: Tensor | None = None
        self.den: Tensor | None = None


class _SecantMemory:
    def __init__(self, secant: Secant, sigma: Sequence[float], batch: int) -> None:
        self._secant, self._sigma, self._batch = secant, sigma, batch
        self._evidence: dict[int, _Evidence] = {}

    def __call__(self, i: int, rows: Tensor, u: Tensor, x0_hat: Tensor, du: Tensor, /) -> Tensor:
        secant = self._secant
        gain = secant.wiener.gain(x0_hat, self._sigma[i])
        known = self._evidence.get(i)
        if known is None:
            known = self._evidence[i] = _Evidence(u, x0_hat, self._batch)
        else:
            gain = self._observed(known, rows, u - known.u[rows], x0_hat - known.x0_hat[rows], gain)
        known.u[rows], known.x0_hat[rows] = u, x0_hat
        return synthesise(analyse(du) * gain.clamp_(0, secant.cap), du.shape)

    def _observed(self, known: _Evidence, rows: Tensor, du: Tensor, dx0_hat: Tensor, gain: Tensor) -> Tensor:
        secant, b = self._secant, len(rows)
        before, after = analyse(du), analyse(dx0_hat)
        num, den = _around(before * after), _around(before.square())
        if known.num is None or known.den is None:
            known.num, known.den = _whole(num, self._batch, b), _whole(den, self._batch, b)
        per_image = (b, -1, *num.shape[1:])
        num = secant.memory * known.num[rows] + num.view(per_image)
        den = secant.memory * known.den[rows] + den.view(per_image)
        known.num[rows], known.den[rows] = num, den
        trust = secant.pull * den.flatten(1).mean(1) + torch.finfo(den.dtype).tiny
        trust = trust.view(-1, 1, 1, 1, 1)
        return ((num + trust * gain.view(per_image)) / (den + trust)).flatten(0, 1)


def _around(c: Tensor) -> Tensor:
    return functional.avg_pool2d(c, 3, 1, 1, count_include_pad=False)


def _whole(c: Tensor, batch: int, b: int) -> Tensor:
    """Zeros like c, an entry for every image of the batch where c has only b."""
    return c.new_zeros(batch, len(c) // b, *c.shape[1:])
