"""The starter network for inpainting: chains start from its filled images."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.hardware.devices import sent
from deqir.hardware.fused_convolution import rectified
from deqir.hardware.in_parts import in_parts
from deqir.networks.layers import stack, through
from deqir.networks.padding import reflected
from deqir.operators.inpainting import diffused_fill, grown, halved, in_batch
from deqir.shapes import Bool, Float

MOST_NOISE: Final = 50 / 255
"""Strongest noise of y in its training, a standard deviation of images in [0, 1]; stronger noise is given as this."""
SIZES: Final = 2
"""Sizes of the image at which it fills: full and half. At a quarter and below, a smooth fill is better."""
SIDE: Final = 512
"""Side in pixels of the parts given to the network at once."""
MARGIN: Final = 64
"""Pixels given to the network beyond each side of a part: as far as it looks; a multiple of 4."""


class Beyond(nn.Module):
    """A residual network at half the size of its planes, where it sees twice as far; its output is added to them.

    Args:
        blocks: Pairs of convolutions at half the size; the output of a pair is added to its input.
    """

    def __init__(self, width: int, inner: int, blocks: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(width, inner, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(stack([inner, inner, inner]) for _ in range(blocks))
        self.up = nn.Conv2d(inner, 4 * width, 1)

    def forward(self, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        height, width = h.shape[-2:]
        even = functional.pad(h, (0, width % 2, 0, height % 2), mode="replicate") if width % 2 or height % 2 else h
        g = rectified(self.down, even)
        for block in self.blocks:
            assert isinstance(block, nn.ModuleList)
            g = g + through(block, g)
        return h + functional.pixel_shuffle(self.up(functional.relu(g)), 2)[..., :height, :width]


class Filler(nn.Module):
    """FFDNet's layers on an image with a guess in its gaps and on planes marking the gaps.

    Some layers are followed by a `Beyond`, to look further. The image is filled at half size first, as its gaps are
    smaller there, with `diffused_fill` as the guess; the result is the guess at full size.

    Args:
        width, depth: FFDNet's are 96 and 12.
        every: A `Beyond` follows each layer whose number is a multiple of this, except the last layer.
        inner, blocks: Size of `Beyond`.
    """

    def __init__(self, *, width: int = 96, depth: int = 12, every: int = 4, inner: int = 128, blocks: int = 2) -> None:
        super().__init__()
        sides = [12 + 12 + 1, *[width] * (depth - 1), 12]
        self.layers = stack(sides)
        after = range(every - 1, depth - 1, every)
        self.beyond = nn.ModuleDict({str(layer): Beyond(width, inner, blocks) for layer in after})

    def forward(
        self, guess: Float[Tensor, "B 3 H W"], lost: Float[Tensor, "B 3 H W"], noise: Float[Tensor, " B"]
    ) -> Float[Tensor, "B 3 H W"]:
        """Return images without gaps and without noise, in about [-1, 1].

        Args:
            guess: Images in [-1, 1] with even sides.
            lost: 1 in the gaps, 0 elsewhere.
            noise: Noise of each image, as a standard deviation of images in [0, 1].
        """
        h = torch.cat([functional.pixel_unshuffle((guess + 1) / 2, 2), functional.pixel_unshuffle(lost, 2)], 1)
        h = torch.cat([h, noise[:, None, None, None].expand(-1, 1, *h.shape[-2:])], 1)
        for number, layer in enumerate(self.layers[:-1]):
            assert isinstance(layer, nn.Conv2d)
            h = rectified(layer, h)
            if str(number) in self.beyond:
                h = functional.relu(self.beyond[str(number)](h))
        return functional.pixel_shuffle(self.layers[-1](h), 2) * 2 - 1

    def fill(
        self, y: Float[Tensor, "B 3 H W"], keep: Bool[Tensor, "#B #C H W"], noise: Float[Tensor, " B"]
    ) -> list[Float[Tensor, "B 3 _ _"]]:
        """Return the images filled at each size, full size first; pixels known without noise are unchanged.

        Args:
            y: Images in [-1, 1]; their values in the gaps do not matter.
            noise: Noise of each image, as a standard deviation of images in [0, 1].
        """
        sizes = [(y, keep)]
        while len(sizes) < SIZES and not bool(sizes[-1][1].all()):
            sizes.append(halved(*sizes[-1]))
        clean = (noise == 0)[:, None, None, None]
        filled = list[Tensor]()
        for level, (known, kept) in reversed(list(enumerate(sizes))):
            guess = grown(filled[-1].detach(), known, kept, sweeps=2) if filled else diffused_fill(known, kept)
            image = self._whole(guess, kept, noise / 2**level)
            filled.append(torch.where(kept & clean, known, image.to(known)))
        return filled[::-1]

    def make_start(
        self, y: Float[Tensor, "B C H W"], keep: Bool[Tensor, "*K H W"], sigma_y: float
    ) -> Float[Tensor, "B C H W"]:
        """Return y filled, on y's device.

        Args:
            y: Images in [-1, 1], grey or in colour.
            keep: True where a pixel is known: a mask for all channels or for each channel.
            sigma_y: Standard deviation of y's noise, images in [-1, 1].
        """
        colour = y.float().expand(-1, 3, -1, -1)
        noise = torch.full((len(y),), min(sigma_y / 2, MOST_NOISE), dtype=torch.float32, device=y.device)
        image = self.fill(colour, in_batch(sent(keep, y.device)), noise)[0].to(y)
        return image if y.shape[1] == 3 else image.mean(1, keepdim=True)

    def _whole(self, guess: Tensor, kept: Tensor, noise: Tensor) -> Tensor:
        """Return the network's output for images of any size, part by part if they are large."""
        height, width = guess.shape[-2:]
        home = next(self.parameters()).device
        planes = torch.cat([guess, (~kept).to(guess).expand_as(guess)], 1)

        def network(part: Tensor) -> Tensor:
            near = part.to(home)
            image: Tensor = self(near[:, :3], near[:, 3:], noise.to(home))
            return image

        wide = reflected(planes, -height % 2, -width % 2)
        return in_parts(network, wide, scale=1, side=SIDE, margin=MARGIN)[..., :height, :width]
