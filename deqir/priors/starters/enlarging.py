"""Networks that enlarge, which a prior may come with: chains of super-resolution start from what they make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.hardware.in_parts import in_parts
from deqir.networks.layers import stack, through
from deqir.operators import KernelSuperResolution, SuperResolution
from deqir.pretrained.rrdb import MARGIN, SCALE, TILE, Rrdb
from deqir.protocols import LinearOperator
from deqir.shapes import Float

KERNELS: Final = ("average", "bicubic")
"""The filters that they know, in the order of `Enlarger.kernels`."""
CODE: Final = 15
"""Numbers that tell of a filter."""
MOST_NOISE: Final = 25 / 255
"""Strongest noise of y that they know, as a standard deviation of images in [0, 1]; stronger is told as this."""
SIDE: Final = 256
"""Side in pixels of the parts of y that they see at once, dense ones `TILE`."""


class Enlargement(NamedTuple):
    """What made an image small."""

    scale: int
    kernel: int


class Enlarger(nn.Module):
    """`depth` 3 x 3 convolutions on y, then as many channels as the pixels that each of y's becomes.

    Beside y it is given planes that tell of the filter that made y small and of the noise in y, as in the network of
    Zhang et al., "Learning a Single Convolutional Super-Resolution Network for Multiple Degradations" (2018),
    https://arxiv.org/abs/1712.06116.

    Args:
        scale: How many times as high and wide its images are.
        width, depth: 128 and 12 in the published network.
    """

    def __init__(self, *, scale: int, width: int = 128, depth: int = 12) -> None:
        super().__init__()
        self.scale = scale
        sides = [3 + CODE + 1, *[width] * (depth - 1), 3 * scale**2]
        self.layers = stack(sides)
        self.kernels = nn.Parameter(torch.zeros(len(KERNELS), CODE))

    def forward(self, y: Float[Tensor, "B 3 h w"], kernel: int, noise: Float[Tensor, " B"]) -> Float[Tensor, "B 3 H W"]:
        """Return images in about [-1, 1] of images in [-1, 1].

        Args:
            y: Small images.
            kernel: Place in `KERNELS` of the filter that made them.
            noise: In each, as a standard deviation of images in [0, 1].
        """
        code = torch.cat([self.kernels[kernel].expand(len(y), -1), noise[:, None]], 1)
        h = torch.cat([(y + 1) / 2, code[:, :, None, None].expand(-1, -1, *y.shape[-2:])], 1)
        return functional.pixel_shuffle(through(self.layers, h), self.scale) * 2 - 1


class DenseEnlarger(Rrdb):
    """An `Rrdb` that is told what an `Enlarger` is told: ten times as many weights.

    Beside y it reads a plane for each of `KERNELS`, 1 for that which made y and 0 for the others, and one of noise.

    Args:
        scale: How many times as high and wide its images are: `SCALE`, or twice that.
        width, growth, blocks: 64, 32 and 23 in the published network.
    """

    def __init__(self, *, scale: int, width: int = 64, growth: int = 32, blocks: int = 23) -> None:
        made = 3 * (scale // SCALE) ** 2
        super().__init__(planes=3 + len(KERNELS) + 1, made=made, width=width, growth=growth, blocks=blocks)
        self.scale = scale

    def forward(self, y: Float[Tensor, "B 3 h w"], kernel: int, noise: Float[Tensor, " B"]) -> Float[Tensor, "B 3 H W"]:
        """Return images in about [-1, 1] of images in [-1, 1], see `Enlarger.forward`."""
        told = torch.zeros(len(KERNELS), device=y.device)
        told[kernel : kernel + 1] = 1  # a slice is filled; a number put at one place would be sent
        code = torch.cat([told.expand(len(y), -1), noise[:, None]], 1)[:, :, None, None]
        planes = torch.cat([(y + 1) / 2, code.expand(-1, -1, *y.shape[-2:])], 1)
        return functional.pixel_shuffle(self.through(planes), self.scale // SCALE) * 2 - 1


class Enlargers(nn.Module):
    """One network a scale.

    Args:
        scales: Of the networks.
        dense: Scales of those that are a `DenseEnlarger`; the others are an `Enlarger` each.
    """

    def __init__(self, scales: Iterable[int], *, dense: Iterable[int] = ()) -> None:
        super().__init__()
        chosen = frozenset(dense)
        kinds = {scale: DenseEnlarger if scale in chosen else Enlarger for scale in sorted(scales)}
        self.networks = nn.ModuleDict({str(scale): kind(scale=scale) for scale, kind in kinds.items()})

    def make_start(self, A: LinearOperator, y: Float[Tensor, "B C h w"], sigma_y: float) -> Float[Tensor, "B C H W"]:
        """Return y enlarged, where y is.

        Args:
            A: What made it small; an enlargement of one of the scales.
            y: In [-1, 1]; grey or in colour.
            sigma_y: Standard deviation of its noise, images in [-1, 1].
        """
        made = enlargement_of(A)
        assert made is not None
        network = self.networks[str(made.scale)]
        assert isinstance(network, Enlarger | DenseEnlarger)
        home = next(network.parameters()).device
        side, margin = (TILE, MARGIN) if isinstance(network, DenseEnlarger) else (SIDE, len(network.layers))

        def enlarge(part: Tensor) -> Tensor:
            noise = torch.full((len(part),), min(sigma_y / 2, MOST_NOISE), dtype=torch.float32, device=home)
            image: Tensor = network(part.to(home, torch.float32).expand(-1, 3, -1, -1), made.kernel, noise)
            return image

        image = in_parts(enlarge, y, scale=made.scale, side=side, margin=margin)
        return image if y.shape[1] == 3 else image.mean(1, keepdim=True)


def enlargement_of(A: LinearOperator) -> Enlargement | None:
    """Return what the networks take A for; None where it is nothing that they know."""
    if isinstance(A, SuperResolution):
        kernel = "average"
    elif isinstance(A, KernelSuperResolution) and isinstance(A.kernel, str):
        kernel = A.kernel
    else:
        return None
    down, across = (A.scale, A.scale) if isinstance(A.scale, int) else A.scale
    return Enlargement(down, KERNELS.index(kernel)) if down == across else None
