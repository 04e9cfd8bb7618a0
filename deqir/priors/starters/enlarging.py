"""Starter networks for super-resolution: chains start from their enlarged images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.hardware.in_parts import in_parts
from deqir.linalg.axes import both
from deqir.networks.layers import stack, through
from deqir.operators import KernelSuperResolution, NearestSuperResolution, SuperResolution
from deqir.pretrained.rrdb import MARGIN, SCALE, TILE, Rrdb
from deqir.protocols import LinearOperator
from deqir.shapes import Float

KERNELS: Final = ("average", "bicubic")
"""The filters in their training, in the order of `Enlarger.kernels`."""
CODE: Final = 15
"""Numbers in the code of a filter."""
MOST_NOISE: Final = 25 / 255
"""Strongest noise of y in their training, a standard deviation of images in [0, 1]; stronger noise is given as this."""
SIDE: Final = 256
"""Side in pixels of the parts of y given to an `Enlarger` at once; `TILE` for a `DenseEnlarger`."""


ALIASING: Final = 0.06
"""Noise told for y of every n-th pixel, images in [0, 1]: the networks take aliasing for detail otherwise.

4x on six training photographs, PSNR, AlexNet's and VGG's LPIPS after the chain: 22.4, .190, .304 with 0; 22.8, .199,
.315 with 0.04; 23.2, .226, .335 with 0.08. Cubic interpolation has 22.8, .369, .340."""


class Enlargement(NamedTuple):
    """The scale and the filter (place in `KERNELS`) of a shrunk image."""

    scale: int
    kernel: int


class Enlarger(nn.Module):
    """`depth` 3 x 3 convolutions on y, with scale x scale output pixels for each pixel of y.

    Beside y it reads planes with a code of the filter of y and with the noise of y, as the network of Zhang et al.,
    "Learning a Single Convolutional Super-Resolution Network for Multiple Degradations" (2018),
    https://arxiv.org/abs/1712.06116.

    Args:
        scale: Ratio of the sides of its images and y.
        width, depth: 128 and 12 in the published network.
    """

    def __init__(self, *, scale: int, width: int = 128, depth: int = 12) -> None:
        super().__init__()
        self.scale = scale
        sides = [3 + CODE + 1, *[width] * (depth - 1), 3 * scale**2]
        self.layers = stack(sides)
        self.kernels = nn.Parameter(torch.zeros(len(KERNELS), CODE))

    def forward(self, y: Float[Tensor, "B 3 h w"], kernel: int, noise: Float[Tensor, " B"]) -> Float[Tensor, "B 3 H W"]:
        """Return the enlarged images, in about [-1, 1].

        Args:
            y: Small images in [-1, 1].
            kernel: Place of their filter in `KERNELS`.
            noise: Noise of each image, as a standard deviation of images in [0, 1].
        """
        code = torch.cat([self.kernels[kernel].expand(len(y), -1), noise[:, None]], 1)
        h = torch.cat([(y + 1) / 2, code[:, :, None, None].expand(-1, -1, *y.shape[-2:])], 1)
        return functional.pixel_shuffle(through(self.layers, h), self.scale) * 2 - 1


class DenseEnlarger(Rrdb):
    """An `Rrdb` with the inputs of an `Enlarger` and ten times as many weights.

    Beside y it reads a plane for each of `KERNELS`, 1 for y's filter and 0 for the others, and a plane of noise.

    Args:
        scale: Ratio of the sides of its images and y: `SCALE` or 2 `SCALE`.
        width, growth, blocks: 64, 32 and 23 in the published network.
    """

    def __init__(self, *, scale: int, width: int = 64, growth: int = 32, blocks: int = 23) -> None:
        made = 3 * (scale // SCALE) ** 2
        super().__init__(planes=3 + len(KERNELS) + 1, made=made, width=width, growth=growth, blocks=blocks)
        self.scale = scale

    def forward(self, y: Float[Tensor, "B 3 h w"], kernel: int, noise: Float[Tensor, " B"]) -> Float[Tensor, "B 3 H W"]:
        """Return the enlarged images, in about [-1, 1], see `Enlarger.forward`."""
        chosen = torch.zeros(len(KERNELS), device=y.device)
        chosen[kernel : kernel + 1] = 1  # a slice is filled on the device; a single number would be copied to it
        code = torch.cat([chosen.expand(len(y), -1), noise[:, None]], 1)[:, :, None, None]
        planes = torch.cat([(y + 1) / 2, code.expand(-1, -1, *y.shape[-2:])], 1)
        return functional.pixel_shuffle(self.through(planes), self.scale // SCALE) * 2 - 1


class Enlargers(nn.Module):
    """A network for each scale.

    Args:
        dense: Scales with a `DenseEnlarger`; the others have an `Enlarger`.
    """

    def __init__(self, scales: Iterable[int], *, dense: Iterable[int] = ()) -> None:
        super().__init__()
        chosen = frozenset(dense)
        kinds = {scale: DenseEnlarger if scale in chosen else Enlarger for scale in sorted(scales)}
        self.networks = nn.ModuleDict({str(scale): kind(scale=scale) for scale, kind in kinds.items()})

    def make_start(self, A: LinearOperator, y: Float[Tensor, "B C h w"], sigma_y: float) -> Float[Tensor, "B C H W"]:
        """Return y enlarged, on y's device.

        Args:
            A: Degradation of y; its scale is one of the networks'.
            y: Images in [-1, 1], grey or in colour.
            sigma_y: Standard deviation of y's noise, images in [-1, 1].
        """
        shrunk = enlargement_of(A)
        assert shrunk is not None
        network = self.networks[str(shrunk.scale)]
        assert isinstance(network, Enlarger | DenseEnlarger)
        if isinstance(A, KernelSuperResolution):
            y = A.unsharpened(y)
        elif isinstance(A, NearestSuperResolution):
            sigma_y = max(sigma_y, 2 * ALIASING)
        home = next(network.parameters()).device
        side, margin = (TILE, MARGIN) if isinstance(network, DenseEnlarger) else (SIDE, len(network.layers))

        def enlarge(part: Tensor) -> Tensor:
            noise = torch.full((len(part),), min(sigma_y / 2, MOST_NOISE), dtype=torch.float32, device=home)
            image: Tensor = network(part.to(home, torch.float32).expand(-1, 3, -1, -1), shrunk.kernel, noise)
            return image

        image = in_parts(enlarge, y, scale=shrunk.scale, side=side, margin=margin)
        if isinstance(A, NearestSuperResolution):  # the networks' pixels of y are in the middle of their blocks
            image = shifted(image, tuple(kept - (shrunk.scale - 1) / 2 for kept in A.kept))
        return image if y.shape[1] == 3 else image.mean(1, keepdim=True)


def shifted(image: Float[Tensor, "B C H W"], by: tuple[float, ...]) -> Float[Tensor, "B C H W"]:
    """Return an image moved down and to the right by parts of a pixel; its borders are repeated."""
    places = [
        (2 * (torch.arange(length, dtype=image.dtype, device=image.device) - moved) + 1) / length - 1
        for length, moved in zip(image.shape[-2:], by, strict=True)
    ]
    down, right = torch.meshgrid(*places, indexing="ij")
    grid = torch.stack((right, down), -1).expand(len(image), -1, -1, -1)
    return functional.grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)


def enlargement_of(A: LinearOperator) -> Enlargement | None:
    """Return the scale of A and the filter in the networks' training nearest to A's; None if there is none."""
    if isinstance(A, SuperResolution | NearestSuperResolution):
        kernel = "average"
    elif isinstance(A, KernelSuperResolution) and isinstance(A.kernel, str):
        kernel = "bicubic"  # also for Lanczos, which differs little
    else:
        return None
    down, across = both(A.scale)
    return Enlargement(down, KERNELS.index(kernel)) if down == across else None
