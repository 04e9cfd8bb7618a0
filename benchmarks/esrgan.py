"""The guide of `benchmarks.optimisation`: 4x upscaling by the network of the npm package @upscalerjs/esrgan-thick.

    npm pack @upscalerjs/esrgan-thick@1.0.0
    tar xzf upscalerjs-esrgan-thick-1.0.0.tgz package/models/x4

MIT licence; a residual-in-residual dense network of 7 million weights, kept as a TensorFlow.js layers model.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

RESIDUAL_SCALE: Final = 0.2
"""Factor of the package's layer MultiplyBeta."""


class EsrganThick:
    """Upscales images in [-1, 1] by 4.

    Args:
        folder: The package's models/x4.

    Raises:
        OSError, ValueError: The model is not there, or has other layers.
    """

    def __init__(self, folder: Path) -> None:
        model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        topology = model["modelTopology"]
        self._layers: list[dict[str, Any]] = topology.get("model_config", topology)["config"]["layers"]
        self._weights = dict[str, Tensor]()
        for group in model["weightsManifest"]:
            values = np.frombuffer(b"".join((folder / path).read_bytes() for path in group["paths"]), "<f4")
            sizes = [math.prod(weight["shape"]) for weight in group["weights"]]
            if sum(sizes) != len(values):
                raise ValueError(f"{folder} holds {len(values)} weights where its model.json names {sum(sizes)}")
            for weight, flat in zip(group["weights"], np.split(values, np.cumsum(sizes)[:-1]), strict=True):
                self._weights[weight["name"]] = torch.from_numpy(flat.reshape(weight["shape"]).copy())

    @torch.inference_mode()
    def __call__(self, y: Tensor) -> Tensor:
        """Return y enlarged, shape (B, 3, 4 h, 4 w)."""
        known, x = dict[str, Tensor](), (y.float() + 1) / 2
        for layer in self._layers:
            inputs = [known[source[0]] for node in layer["inbound_nodes"] for source in node] or [x]
            known[layer["name"]] = self._apply(layer, inputs)
        return known[self._layers[-1]["name"]] * 2 - 1

    def _apply(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        kind, (first, *_) = layer["class_name"], inputs
        if kind == "InputLayer":
            return first
        if kind == "Conv2D":
            kernel = self._weights[f"{layer['name']}/kernel"].permute(3, 2, 0, 1)
            return functional.conv2d(first, kernel, self._weights.get(f"{layer['name']}/bias"), padding="same")
        if kind == "Activation":
            return functional.relu(first)
        if kind == "Concatenate":
            return torch.cat(inputs, 1)
        if kind == "Add":
            return first + inputs[1]
        if kind == "MultiplyBeta":
            return first * RESIDUAL_SCALE
        if kind == "PixelShuffle4x":  # TensorFlow has colours innermost, torch outermost
            return functional.pixel_shuffle(torch.unflatten(first, 1, (16, -1)).transpose(1, 2).flatten(1, 2), 4)
        raise ValueError(f"a layer of kind {kind} is not known here; this reads esrgan-thick 1.0.0")
