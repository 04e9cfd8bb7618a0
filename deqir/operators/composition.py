"""Several degradations, one after the other, with the A^+ of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from deqir.protocols import Gain, LinearOperator, NoisyStart, SpectralOperator, Truncated
from deqir.shapes import Float

from .blur.convolution import Deblurring
from .blur.separable import KernelSuperResolution, SeparableDeblurring
from .colorization import Colorization
from .compressed_sensing import BlockSensing, WalshHadamardSensing
from .denoising import Denoising
from .inpainting import Inpainting, diffused_fill
from .matrix_free import applied, transposed
from .super_resolution import NearestSuperResolution, SuperResolution

DISJOINT: Final = (Colorization, Inpainting, SuperResolution)
"""Operators whose measurements share no pixels; the measurements of a chain of them share none either."""
CHANNELWISE: Final = (
    BlockSensing,
    Deblurring,
    KernelSuperResolution,
    NearestSuperResolution,
    SeparableDeblurring,
    SuperResolution,
    WalshHadamardSensing,
)
"""Operators with the same effect on each channel by itself: a weighted sum of channels may as well be taken before."""
KNOWN: Final = 0.05
"""Least share of a measurement left by the masks for the start to use the measurement."""
KNOWN_NOISY: Final = 0.25, 2.0, 0.45
"""The share for a noisy y, as dividing by it amplifies noise: the least, its rise per unit of sigma_y, the most."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Composition:
    """y is x after several degradations; the pseudoinverse of a product is not the product of pseudoinverses.

    A^+ is exact, and known in these cases, written A = L K:
    - every part is a mask, an average pooling or a weighted sum of channels, in any order (an old photograph:
      scratches, grey, downsampling). No two numbers of K x share a pixel, so K K^T = D is diagonal,
      K^+ = K^T D^+, and the singular values are sqrt(D);
    - one other part L (a blur, a kernel's downsampling, compressed sensing) after a K without masks. Then K K^T is
      k^2 I, so A^+ = K^+ L^+, and the singular values are k times L's.
    A part with the same effect on each channel commutes with Colorization, so their order does not matter.

    Attributes:
        parts: The degradations in the order of application; compositions among them are unfolded.

    Raises:
        ValueError: There is no part, or no closed form of A^+ is known.
    """

    parts: Sequence[LinearOperator]

    def __post_init__(self) -> None:
        unfolded = (part.parts if isinstance(part, Composition) else (part,) for part in self.parts)
        parts = tuple(part for inner in unfolded for part in inner)
        if not parts:
            raise ValueError("Composition needs at least one part")
        object.__setattr__(self, "parts", parts)
        _split(parts)

    @property
    def start_noise(self) -> float:
        """The largest start noise of the parts."""
        return max(part.start_noise for part in self.parts)

    @property
    def threshold(self) -> float:
        """Singular values up to this share of the largest are cut from L^+ and so from A^+; 0 if nothing is cut."""
        L = _split(self.parts)[1]
        return L.threshold if isinstance(L, Truncated) else 0.0

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        for part in reversed(in_order(self.parts)):
            y_shape = part.image_shape(y_shape)
        channels, height, width = y_shape[-3:]
        return channels, height, width

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B c h w"]:
        return applied(in_order(self.parts), x)

    def adjoint(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        return transposed(in_order(self.parts), y)

    def pinv(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        K, L = _split(self.parts)
        return _disjoint_pinv(K, y if L is None else L.pinv(y))

    def start(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        """Return y with the parts undone by their starts, last to first, then shifted to agree with y.

        Pooled pixels and grey values are first divided by the share of them left by masks; pixels with next to
        nothing left are filled by diffusion.
        """
        K, L = _split(self.parts)
        return _disjoint_start(K, y if L is None else L.start(y))

    def guess(self, y: Float[Tensor, "B c h w"], /) -> Float[Tensor, "B C H W"]:
        K, L = _split(self.parts)
        return _disjoint_start(K, y if L is None else L.guess(y))

    def start_of_noisy(self, y: Float[Tensor, "B c h w"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """Return the start with noise amplified as little as L allows, and not at all where masks took most away."""
        K, L = _split(self.parts)
        if L is not None:
            return _disjoint_start(K, L.start_of_noisy(y, sigma_y) if isinstance(L, NoisyStart) else L.start(y))
        least, slope, most = KNOWN_NOISY
        return _disjoint_start(K, y, known_from=min(least + slope * sigma_y, most))

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        K, L = _split(self.parts)
        seen, unseen = applied(K, v), gain(v.new_zeros(1, 1, 1, 1))
        d = _diagonal(K, seen)
        if L is None:
            change = _over(gain(d.sqrt()) - unseen, d) * seen
        else:
            k = d[:, :1, :1, :1].sqrt()  # the same everywhere
            change = L.filter(seen, lambda s: gain(k * s) - unseen) / k.square()
        return unseen * v + transposed(K, change)


def _split(parts: Sequence[LinearOperator]) -> tuple[list[LinearOperator], SpectralOperator | None]:
    """Return K and L of the parts in order.

    Raises:
        ValueError: More than one part follows K, K has masks and a part follows, or that part has no `filter`.
    """
    ordered = in_order(parts)
    count = next((n for n, part in enumerate(ordered) if not isinstance(part, DISJOINT)), len(ordered))
    K, rest = ordered[:count], ordered[count:]
    if not rest:
        return K, None
    L, name = rest[0], type(rest[0]).__name__
    if len(rest) > 1:
        reason = f"{type(rest[1]).__name__} comes after {name}, which mixes pixels"
    elif any(isinstance(part, Inpainting) for part in K):
        reason = f"{name} mixes pixels that a mask has set to 0"
    elif not isinstance(L, SpectralOperator):
        reason = f"{name} has no method `filter`, so its singular values are not known"
    else:
        return K, L
    names = " then ".join(type(part).__name__ for part in parts)
    raise ValueError(
        f"no closed form is known for the A^+ of {names}: {reason}; "
        "use MatrixFree.of_parts, which computes it, or combine two kernels into one"
    )


def in_order(parts: Sequence[LinearOperator]) -> list[LinearOperator]:
    """Return the parts without `Denoising`, with colorization moved as far to the front as it commutes."""
    ordered: list[LinearOperator] = []
    for part in parts:
        place = len(ordered)
        while isinstance(part, Colorization) and place and _same_in_every_channel(ordered[place - 1]):
            place -= 1
        if not isinstance(part, Denoising):
            ordered.insert(place, part)
    return ordered


def masks_in(A: LinearOperator) -> list[Inpainting]:
    """Return the masks among A's parts, or A itself if it is a mask."""
    parts = A.parts if isinstance(A, Composition) else [A]
    return [part for part in parts if isinstance(part, Inpainting)]


def known_of(A: LinearOperator, y: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h w"]:
    """Return y with 0 in the gaps if A's last part is a mask: values of y in the gaps are no measurements."""
    ordered = in_order(A.parts if isinstance(A, Composition) else [A])
    return ordered[-1](y) if ordered and isinstance(ordered[-1], Inpainting) else y


def _same_in_every_channel(part: LinearOperator) -> bool:
    return part.keep.ndim == 2 if isinstance(part, Inpainting) else isinstance(part, CHANNELWISE)


def _diagonal(K: Sequence[LinearOperator], seen: Float[Tensor, "B c h w"]) -> Float[Tensor, "1 c h w"]:
    """Return the diagonal of K K^T, a diagonal matrix."""
    return applied(K, transposed(K, torch.ones_like(seen[:1])))


def _over(v: Tensor, d: Tensor) -> Tensor:
    """Return v / d, or 0 where d is 0, as a mask has left nothing."""
    return torch.where(d > 0, v / torch.where(d > 0, d, 1.0), 0.0)


def _disjoint_pinv(K: Sequence[LinearOperator], u: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
    return transposed(K, _over(u, _diagonal(K, u)))


def _disjoint_start(
    K: Sequence[LinearOperator], u: Float[Tensor, "B c h w"], *, known_from: float = KNOWN
) -> Float[Tensor, "B C H W"]:
    """Return a plausible image x with K x = u; if `known_from` is raised, only where more than this share is known."""
    covered = applied(K, torch.ones_like(transposed(K, u[:1])))  # 1 without masks
    known = covered > known_from
    x = torch.where(known, u / covered.clamp(min=known_from), 0.0)
    if any(isinstance(part, Inpainting) for part in K) and not bool(known.all()):
        x = diffused_fill(x, known[0])
    for part in reversed(K):
        x = x if isinstance(part, Inpainting) else part.start(x)
    off = u - applied(K, x)
    return x + _disjoint_pinv(K, torch.where(known, off, 0.0) if known_from > KNOWN else off)
