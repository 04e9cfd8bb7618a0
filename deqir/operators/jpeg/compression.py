"""JPEG as a linear operator with white noise: an image's coefficients, each known up to its own rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.linalg.dct import BLOCK
from deqir.linalg.device_constant import Constant
from deqir.linalg.whitening import whitened
from deqir.protocols import Gain
from deqir.shapes import Float

from .coefficients import LEVEL, JpegCoefficients, zeros_of
from .errors import deviations_of
from .layout import Layout, ycc

NOISE_OF_ERROR: Final = 3.0
"""Noise of the start, in units of the error of A^+ y. Measured on validation photographs: 0.05 dB better than 2."""
LEAST_NOISE: Final = 6 / 255
"""Least noise of the start, images in [0, 1]: above that of the last step."""
MARGIN: Final = 1.0
"""Levels between a coefficient and the end of its cell: 8 bits of the result and of the encoder shift it by 0.35."""
ROUNDS: Final = 12
"""Projections onto cells and range: a 4:2:0 file of quality 10 to 60 then comes out again but for 0.02 %."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JpegCompression:
    """y is an image with white noise that knows as much of x as a JPEG's coefficients do.

    JPEG rounds each cosine coefficient of Y, Cb and Cr to a multiple of a step, and its error depends on the frequency.
    A = V diag(s) V^T with the singular vectors V of diag(1 / deviation) C, where C maps pixels to coefficients; s is
    the least error by the component's own, so that y has the same noise, `sigma`, in each component. y has x's shape.
    `observation` makes y of a file's coefficients, and A^+ y is the file decoded.

    x is the image made up to whole units; `framed` cuts it. A grey JPEG acts on each channel by itself.

    Attributes:
        layout: The JPEG's components and their sampling.
        deviations: Standard deviation of each coefficient's error, images in [-1, 1], shape (components, 8, 8).
        steps: Quantisation steps in levels, for results that agree with the file (`nearest`); None: no such bounds.
        frame: Top, left, height and width of the image within x; None: all of x.
        sigma: sigma_y of a restoration.
        error: Standard deviation of the error of A^+ y, images in [-1, 1]; a sigma_y for other tasks on such files.
        start_noise: Noise of the start, from the error of the whole image.

    Raises:
        ValueError: A deviation is not above 0, or there are not as many as components.
    """

    layout: Layout
    deviations: Float[Tensor, "components 8 8"]
    steps: Float[Tensor, "components 8 8"] | None = None
    frame: tuple[int, int, int, int] | None = None
    sigma: float = field(init=False)
    error: float = field(init=False)
    start_noise: float = field(init=False)
    _basis: Constant = field(init=False, repr=False)
    _inverse: Constant = field(init=False, repr=False)
    _s: Constant = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = whitened(self.layout.matrix(), self.layout.of_unit(self.deviations))
        error = math.sqrt(float((found.sigma / found.s).square().sum()) / len(found.basis))
        object.__setattr__(self, "sigma", found.sigma)
        object.__setattr__(self, "error", error)
        object.__setattr__(self, "start_noise", max(NOISE_OF_ERROR * error / 2, LEAST_NOISE))
        object.__setattr__(self, "_basis", Constant(found.basis))
        object.__setattr__(self, "_inverse", Constant(found.inverse))
        object.__setattr__(self, "_s", Constant(found.s))

    @classmethod
    def of(cls, found: JpegCoefficients, *, noise: float = 0.0) -> JpegCompression:
        """Return the operator of a JPEG.

        Args:
            noise: Standard deviation of noise that was in the image before its compression, images in [-1, 1].
        """
        deviations = deviations_of(found).square().add(noise**2).sqrt()
        frame = found.top, found.left, found.height, found.width
        return cls(layout=found.layout, deviations=deviations, steps=None if noise else found.steps, frame=frame)

    def observation(self, found: JpegCoefficients, *, channels: int = 3) -> Float[Tensor, "C H W"]:
        """Return y of a JPEG's coefficients, in float32; grey makes equal channels."""
        amounts = self.layout.joined(found.amounts())
        inverse = torch.linalg.pinv(self.layout.matrix())
        decoded = self._image(amounts[None, None] @ inverse.mT, found.sides)
        if decoded.shape[1] == 1:
            decoded = decoded.expand(-1, channels, -1, -1)
        return self(decoded)[0].float()

    def image_shape(self, y_shape: tuple[int, ...], /) -> tuple[int, int, int]:
        channels, height, width = y_shape[-3:]
        rows, columns = self.layout.unit
        if height % rows or width % columns or (len(self.layout.factors) == 3 and channels != 3):
            wanted = 3 if len(self.layout.factors) == 3 else "any"
            raise ValueError(
                f"this JPEG restores images of {wanted} channels whose sides are multiples of {rows} (height) and "
                f"{columns} (width), got {tuple(y_shape[-3:])}; make y with `observation`"
            )
        return channels, height, width

    def __call__(self, x: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return self._image((self._seen(x) * self._s.like(x)) @ self._basis.like(x).mT, x.shape)

    adjoint = __call__

    def pinv(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        return self._image(self._seen(y) @ self._inverse.like(y).mT, y.shape)

    def filter(self, v: Float[Tensor, "B C H W"], gain: Gain, /) -> Float[Tensor, "B C H W"]:
        unseen = gain(v.new_zeros(1, 1, 1, 1))
        gains = gain(self._s.like(v).view(1, 1, 1, -1)) - unseen
        return unseen * v + self._image((gains * self._seen(v)) @ self._basis.like(v).mT, v.shape)

    def start(self, y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return the decoded image: A^+ y, but with colour at a lower resolution enlarged smoothly, as decoders do."""
        image = self.pinv(y)
        if self.layout.unit == (BLOCK, BLOCK):
            return image
        planes = [plane[:, None] for plane in self.layout.planes(image)]
        full = [functional.interpolate(plane, image.shape[-2:], mode="bilinear") for plane in planes]
        return torch.einsum("ij,bjhw->bihw", _rgb().like(image), torch.cat(full, 1))

    guess = start

    def framed(self, x: Float[Tensor, "*batch H W"], /) -> Float[Tensor, "*batch h w"]:
        """Return the image without the pixels that make it up to whole units."""
        if self.frame is None:
            return x
        top, left, height, width = self.frame
        return x[..., top : top + height, left : left + width]

    def widened(self, image: Float[Tensor, "*batch h w"], /) -> Float[Tensor, "*batch H W"]:
        """Return an image made up to whole units by its edges, repeated, as encoders do."""
        if self.frame is None:
            return image
        top, left, height, width = self.frame
        rows, columns = self.layout.padded(top + height, left + width)
        down = (torch.arange(rows, device=image.device) - top).clamp(0, height - 1)
        across = (torch.arange(columns, device=image.device) - left).clamp(0, width - 1)
        return image[..., down, :][..., across]

    def nearest(self, x: Float[Tensor, "B C H W"], y: Float[Tensor, "B C H W"], /) -> Float[Tensor, "B C H W"]:
        """Return an image near x, in [-1, 1], whose coefficients are rounded as y's were.

        The projections onto the cells of the coefficients and onto [-1, 1] alternate.
        """
        if self.steps is None:
            return x.clamp(-1, 1)
        matrix, back = (part.to(x) for part in (self.layout.matrix(), torch.linalg.pinv(self.layout.matrix())))
        step = (self.layout.of_unit(self.steps) / LEVEL).to(x)
        zero = self.layout.of_unit(zeros_of(len(self.steps))).to(x)
        centre = zero + step * ((self._units(self.pinv(y)) @ matrix.mT - zero) / step).round()
        reach = step / 2 - torch.minimum(step / 4, step.new_tensor(MARGIN / LEVEL))
        for _ in range(ROUNDS):
            amount = self._units(x) @ matrix.mT
            inside = torch.minimum(torch.maximum(amount, centre - reach), centre + reach)
            x = (x + self._image((inside - amount) @ back.mT, x.shape)).clamp(-1, 1)
            x = self.widened(self.framed(x))
        return x

    def _seen(self, x: Tensor) -> Float[Tensor, "B groups units r"]:
        """Return V^T x of each unit."""
        return self._units(x) @ self._basis.like(x)

    def _units(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B groups units n"]:
        """Return the units of an image as rows of numbers; a grey JPEG has units of one channel."""
        self.image_shape(tuple(x.shape))
        rows, columns = self.layout.unit
        units = x.unfold(2, rows, rows).unfold(3, columns, columns).flatten(2, 3)
        if len(self.layout.factors) == 1:
            return units.flatten(3)
        return units.transpose(1, 2).flatten(2)[:, None]

    def _image(self, units: Float[Tensor, "B groups units n"], shape: tuple[int, ...]) -> Float[Tensor, "B C H W"]:
        """Return the image of these units, of the height and width at the end of `shape`."""
        rows, columns = self.layout.unit
        down, across = shape[-2] // rows, shape[-1] // columns
        pixels = units.reshape(*units.shape[:2], down, across, -1, rows, columns)
        image: Tensor = pixels.permute(0, 1, 4, 2, 5, 3, 6).flatten(1, 2).flatten(2, 3).flatten(3, 4)
        return image


@lru_cache(maxsize=1)
def _rgb() -> Constant:
    """Return the map from Y, Cb and Cr to red, green and blue."""
    with torch.inference_mode(False):
        return Constant(torch.linalg.inv(ycc(torch.zeros((), dtype=torch.float64))))
