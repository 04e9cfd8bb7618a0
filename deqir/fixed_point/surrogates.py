"""Stand-ins for the Jacobian of the data prediction with respect to a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from deqir.linalg.dct import analyse, synthesise
from deqir.protocols import Linearization


@dataclass(frozen=True, slots=True)
class FrozenEps:
    """The predicted noise stays, so the data prediction takes the whole change: the published form (11)."""

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization:
        return lambda i, rows, u, x0_hat, du: du


@dataclass(frozen=True, slots=True)
class FrozenData:
    """The data prediction stays as it is: unrolling contracts, where FrozenEps amplifies."""

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization:
        return lambda i, rows, u, x0_hat, du: torch.zeros_like(du)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiener:
    """The change passes through a shrinkage in an overlapping 8 x 8 DCT with gains p / (p + kappa sigma^2) (12).

    p is the squared coefficient of the data prediction itself.

    Attributes:
        kappa: Weight of the noise; a larger weight lowers the gains.
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
            return synthesise(analyse(du).mul_(gain), du.shape)

        return jacobian


@dataclass(frozen=True, slots=True, kw_only=True)
class Secant:
    """The gain of each DCT coefficient comes from past rounds (13): <D du, D dx0_hat> / <D du, D du>.

    Sums run over 3 x 3 neighbours and over past rounds with weight `memory` each; where there is little
    evidence the gain is pulled to the Wiener gain. These gains G miss a part of the last round's change, dx0_hat -
    G du. It is added in the share in which the new change repeats the old one at each pixel, as Broyden's update does
    for a whole vector. Costs no network evaluation and depends on no prior.

    Safeguarded against the answer 0, which is data prediction. If 0 was nearer to the actual change of an image's
    state than the last answer was, the next answer is cut to the share of the last one that was right, at least 0.

    Attributes:
        wiener: The gain without evidence.
        pull: Weight of the Wiener gain, relative to the mean evidence of the state.
        memory: Weight of a past round against the next one.
        cap: Largest gain.
        repeat: Largest share: 1 is the whole old change; 0 leaves the gains alone.
    """

    wiener: Wiener = Wiener()
    pull: float = 0.1
    memory: float = 0.5
    cap: float = 0.9
    repeat: float = 1.0

    def linearize(self, sigma: Sequence[float], batch: int, /) -> Linearization:
        return _SecantMemory(self, sigma)


class _SecantMemory:
    """The evidence of every position; works in place, as its tensors have 16 times an image's size."""

    def __init__(self, secant: Secant, sigma: Sequence[float]) -> None:
        self._secant, self._sigma = secant, sigma
        self._evidence: dict[int, _Evidence] = {}
        self._last = len(sigma)

    def __call__(self, i: int, rows: Tensor, u: Tensor, x0_hat: Tensor, du: Tensor, /) -> Tensor:
        secant = self._secant
        if i <= self._last:  # a round begins; states before it are exact by now
            for position in [position for position in self._evidence if position < i]:
                del self._evidence[position]
        self._last = i
        gain = secant.wiener.gain(x0_hat, self._sigma[i])
        known = self._evidence.get(i)
        if known is None:
            self._evidence[i] = _Evidence(rows, u, x0_hat)
            return synthesise(analyse(du).mul_(gain.clamp_(0, secant.cap)), du.shape)
        known.keep(rows)
        change = known.see(u, x0_hat, secant.memory)
        gain = known.pull(gain, secant.pull).clamp_(0, secant.cap)
        answer = synthesise(analyse(du).mul_(gain), du.shape)
        if secant.repeat:
            missed = change.dx0_hat - synthesise(change.coefficients.mul_(gain), du.shape)
            answer += missed.mul_(_share(du, change.du).clamp_(-secant.repeat, secant.repeat))
        return known.trusted(answer, change.dx0_hat)


class _Change(NamedTuple):
    """The last round's changes of u and of the data prediction, and the coefficients of du."""

    du: Tensor
    dx0_hat: Tensor
    coefficients: Tensor


class _Evidence:
    """Evidence of past rounds at one position, for the images `rows`."""

    __slots__ = ("_answer", "_den", "_num", "_rows", "_u", "_x0_hat")

    def __init__(self, rows: Tensor, u: Tensor, x0_hat: Tensor) -> None:
        self._rows, self._u, self._x0_hat = rows, u, x0_hat.clone()  # a view would keep its whole round
        self._num: Tensor | None = None
        self._den: Tensor | None = None
        self._answer: Tensor | None = None

    def keep(self, rows: Tensor) -> None:
        """Forget images that have left; they do not come back."""
        if len(rows) == len(self._rows):
            return
        places = torch.searchsorted(self._rows, rows)
        self._rows, self._u, self._x0_hat = rows, self._u[places], self._x0_hat[places]
        if self._num is not None and self._den is not None:
            self._num, self._den = self._num[places], self._den[places]
        if self._answer is not None:
            self._answer = self._answer[places]

    def see(self, u: Tensor, x0_hat: Tensor, memory: float) -> _Change:
        """Return this round's changes, and add them to the share `memory` of the evidence."""
        du, dx0_hat = u - self._u, x0_hat - self._x0_hat
        before, after = analyse(du), analyse(dx0_hat)
        self._u, self._x0_hat = u, x0_hat.clone()
        num, den = _around(after.mul_(before)), _around(before.square())
        num, den = (c.view(len(u), -1, *c.shape[1:]) for c in (num, den))
        self._num = num if self._num is None else self._num.mul_(memory).add_(num)
        self._den = den if self._den is None else self._den.mul_(memory).add_(den)
        return _Change(du, dx0_hat, before)

    def pull(self, gain: Tensor, weight: float) -> Tensor:
        """Return the observed gain, pulled to `gain` where evidence is little; overwrites `gain`."""
        if self._num is None or self._den is None:
            return gain
        trust = weight * self._den.flatten(1).mean(1) + torch.finfo(gain.dtype).tiny
        trust = trust.view(-1, 1, 1, 1, 1)
        observed = gain.view_as(self._num).mul_(trust).add_(self._num).div_(self._den + trust)
        return observed.view_as(gain)

    def trusted(self, answer: Tensor, dx0_hat: Tensor) -> Tensor:
        """Return a new answer, cut for each image whose last answer was further from the change dx0_hat than 0."""
        last, self._answer = self._answer, answer
        if last is None:
            return answer
        size = last.square().flatten(1).sum(1) + torch.finfo(last.dtype).tiny
        right = (last * dx0_hat).flatten(1).sum(1).div_(size).clamp_(min=0)
        return answer * torch.where(right < 0.5, right, 1.0)[:, None, None, None]


def _share(new: Tensor, old: Tensor) -> Tensor:
    """Return the share of `old` in `new` at each pixel: <new, old> / <old, old>, sums over the channels."""
    size = old.square().sum(1, keepdim=True)
    little = 1e-3 * size.flatten(1).mean(1)[:, None, None, None] + torch.finfo(old.dtype).tiny
    return (new * old).sum(1, keepdim=True) / (size + little)


def _around(c: Tensor) -> Tensor:
    """Return sums over the 3 x 3 neighbours inside the image; 7 times avg_pool2d's speed on a CPU."""
    rows = c.clone()
    rows[..., 1:, :] += c[..., :-1, :]
    rows[..., :-1, :] += c[..., 1:, :]
    both = rows.clone()
    both[..., 1:] += rows[..., :-1]
    both[..., :-1] += rows[..., 1:]
    return both
