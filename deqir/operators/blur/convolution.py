"""Blur by any 2-D kernel, through the Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from deqir.linalg.axes import NOISE_DAMPING, check_damping, check_threshold
from deqir.linalg.spectral import same_shape
from deqir.operators import kernels
from deqir.protocols import Gain
from deqir.shapes import Float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deblurring:
    """y is x blurred by the same kernel in every channel: diagonal in the Fourier transform, singular values |K|.

    A photograph is cut out of a scene, and the blur brings in pixels from outside of it. Three assumptions about them:
    - boundary "reflect": the image is mirrored at its borders (c b a | a b c | c b a). Close to the truth, but only
      diagonal for kernels equal to their mirror images down and across (a disk, a motion along an axis); other kernels
      are refused.
    - boundary "circular": the image repeats like tiles, which no photograph does. Pass `tapered(y)` instead of y, an
      approximation to keep the seams from ringing through the image, and a threshold of 0.05.
    - no assumption: `FramedDeblurring`, for any kernel, slower, restores a wider scene with y as its inner part.

    A^+ (in `pinv` and `filter`) leaves out singular values at or below `threshold` times the largest; A and its
    adjoint have all of them. Rounding y to 8 bits adds noise of 0.0011 (images in [0, 1]), which A^+ amplifies by up to
    1 / threshold. A threshold of 0.02 is safe for sigma_y = 0; 0.001 keeps more detail if sigma_y gives the noise and
    the boundary is true.

    Attributes:
        kernel: 2-D, the picture of a point, its middle at n // 2; divided by its sum. See `deqir.operators.kernels`.
        boundary: Continuation of the image beyond its borders.
        threshold: Singular values up to this share of the largest are cut.
        damping: Singular value below which `start` no longer trusts y.

    Raises:
        ValueError: The kernel is not 2-D, sums to 0, or with boundary "reflect" differs from its mirror images; the
            threshold is outside of 0..1 or the damping not above 0.
    """

    kernel: Tensor
    boundary: Literal["circular", "reflect"] = "circular"
    threshold: float = 0.02
    damping: float = 0.015
    start_noise: float = 49 / 255

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        check_damping(self.damping)
        if self.boundary not in ("circular", "reflect"):
            raise ValueError(f"the boundary is circular or reflect, got {self.boundary!r}")
        if self.kernel.ndim != 2:
            raise ValueError(
                f"Deblurring needs a kernel of two dimensions, got shape {tuple(self.kernel.shape)}; "
                "SeparableDeblurring takes kernels of one dimension"
            )
        kernel = kernels.from_array(self.kernel.detach().cpu())
        if self.boundary == "reflect" and not _mirrored(kernel):
            raise ValueError(
                'with boundary="reflect" a kernel must have odd sides and look the same in a mirror, down and across; '
                'use boundary="circular", with tapered(y) in place of a photograph y'
            )

    image_shape = same_shape

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return self._times(x, self._transfer(x))

    def adjoint(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return self._times(y, self._transfer(y).conj())

    def pinv(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        K = self._transfer(y)
        return self._times(y, torch.where(self._kept(K.abs(), y), 1 / K, 0.0))

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        s = self._transfer(v).abs()
        return self._times(v, gain(torch.where(self._kept(s, v), s, 0.0)))

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return y + (A^T A + damping^2)^-1 A^T (y - A y): y, sharpened as far as is safe.

        Detail wiped out by the blur stays as in y; noise of y grows by a factor of 1 / (2 damping) at most.
        """
        return self._sharpened(y, self.damping)

    guess = start

    def start_of_noisy(self, y: Float[Tensor, "B C H W"], sigma_y: float, /) -> Float[Tensor, "B C H W"]:
        """Return the start with the damping raised as far as the noise in y needs it."""
        return self._sharpened(y, max(self.damping, NOISE_DAMPING * sigma_y))

    def _sharpened(self, y: Tensor, damping: float) -> Tensor:
        K = self._transfer(y)
        return y + self._times(y - self(y), K.conj() / (K.abs() ** 2 + damping**2))

    def tapered(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return y with its border, as far as the kernel reaches, faded into y's own circular blur.

        Opposite borders then meet without a step, as in an image blurred by A. With boundary "reflect" nothing has to
        meet, and y is returned unchanged.
        """
        if self.boundary == "reflect":
            return y
        power = torch.fft.irfft2(self._transfer(y)[0, 0].abs() ** 2, s=y.shape[-2:])  # the kernel's autocorrelation
        down, across = power.sum(1), power.sum(0)
        weight = (1 - down / down[0])[:, None] * (1 - across / across[0])
        faded: Tensor = weight * y + (1 - weight) * self(y)
        return faded.to(y)

    def _times(self, x: Float[Tensor, "B C H W"], spectrum: Tensor) -> Float[Tensor, "B C H W"]:
        height, width = x.shape[-2:]
        whole = x.to(_precision(x))
        if self.boundary == "reflect":
            whole = torch.cat([whole, whole.flip(-1)], -1)
            whole = torch.cat([whole, whole.flip(-2)], -2)
        blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(whole) * spectrum, s=whole.shape[-2:])
        return blurred[..., :height, :width].to(x)

    def _transfer(self, like: Tensor) -> Tensor:
        twice = 2 if self.boundary == "reflect" else 1
        return _spectrum(self, twice * like.shape[-2], twice * like.shape[-1], _precision(like), like.device)

    def _kept(self, s: Tensor, like: Tensor) -> Tensor:
        # A doubled image has nothing at its highest frequency, so s there is no singular value of A.
        return s > self.threshold * s[..., : like.shape[-2], : like.shape[-1]].max()


def _precision(x: Tensor) -> torch.dtype:
    """Return the precision for Fourier transforms of x, at least single: half precision has no transform."""
    return torch.promote_types(x.dtype, torch.float32)


@lru_cache(maxsize=8)
def _spectrum(A: Deblurring, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return K for real images of this size, shape (1, 1, h, w); a larger kernel is wrapped around."""
    with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
        kernel = kernels.from_array(A.kernel.detach().cpu())
        down, across = (torch.arange(n) - n // 2 for n in kernel.shape)
        tile = torch.zeros(height, width, dtype=torch.float64)
        tile.index_put_((down[:, None] % height, across % width), kernel, accumulate=True)
        K: Tensor = torch.fft.rfft2(tile)[None, None]
        return K.to(device, dtype.to_complex())


def _mirrored(kernel: Tensor) -> bool:
    odd = kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
    return odd and all(torch.allclose(kernel, kernel.flip(axis), rtol=0, atol=1e-12) for axis in (0, 1))
