"""Import of a directory of diffusers with a UNet2DModel, or with a pipeline around a UNet2DModel."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from deqir.priors.directory import PriorCard, ScheduleName
from deqir.priors.prior import PriorError

from .facts import Facts, Plan
from .files import Tensors, read_tensors
from .matching import Origin
from .unets import UNET, trained

KIND: Final = "diffusers"
FACTS: Final = ("noise_schedule", "diffusion_steps", "image_size")
CONFIG: Final = "config.json"
SCHEDULER: Final = "scheduler_config.json"
WEIGHTS: Final = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
SCHEDULES: Final[Mapping[str, ScheduleName]] = {
    "linear": "linear",
    "scaled_linear": "scaled_linear",
    "squaredcos_cap_v2": "cosine",
}
OLD_NAMES: Final = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of the parts of attention in diffusers before 0.13, with the present names."""


def plan(path: Path, facts: Facts) -> tuple[Plan, Tensors]:
    """Return the plan for the network in a directory written by diffusers, and its tensors.

    Raises:
        PriorError: The directory holds no whole unconditional UNet2DModel with a schedule known to deqir.
    """
    folder = next((place for place in (path, path / "unet") if (place / CONFIG).exists()), None)
    if folder is None:
        raise PriorError(f"{path} holds no {CONFIG} of a UNet, nor does its folder unet")
    config = _json(folder / CONFIG)
    _check(config, folder / CONFIG)
    files = [folder / name for name in WEIGHTS if (folder / name).exists()]
    if not files:
        raise PriorError(f"{folder} holds none of {', '.join(WEIGHTS)}")
    tensors = read_tensors(files[0])
    origins = _origins(tensors, config, folder / CONFIG)
    card, assumed = UNET, ["prediction of eps"]
    places = (path, path / "scheduler", path.parent / "scheduler")
    if (scheduler := next((p / SCHEDULER for p in places if (p / SCHEDULER).exists()), None)) is not None:
        card, assumed = _scheduled(card, _json(scheduler), scheduler), []
    size = config.get("sample_size")
    known = replace(facts, image_size=facts.image_size or (max(size) if isinstance(size, list) else size))
    card, guessed = trained(card, known, guess=None, rescaled=False)
    config["sample_size"] = card.native_size
    if scheduler is None:
        assumed += guessed
    return Plan(kind=KIND, card=card, origins=origins, config=config, assumed=tuple(assumed)), tensors


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PriorError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise PriorError(f"{path} holds no JSON object")
    return values


def _check(config: Mapping[str, Any], path: Path) -> None:
    """Raise PriorError unless the network is a UNet2DModel on pixels with no inputs but images and timesteps."""
    name = config.get("_class_name", "UNet2DModel")
    channels, outputs = config.get("in_channels", 3), config.get("out_channels", 3)
    if name != "UNet2DModel":
        raise PriorError(f"{path} describes a {name}; priors are networks of class UNet2DModel")
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise PriorError(f"the network of {path} needs to know which class an image shows; it is no prior")
    if config.get("time_embedding_type", "positional") != "positional":
        raise PriorError(f"the network of {path} takes noise levels, not timesteps of a variance-preserving schedule")
    if channels not in (1, 3) or outputs not in (channels, 2 * channels):
        raise PriorError(f"the network of {path} turns {channels} channels into {outputs}; priors work on pixels")


def _origins(tensors: Tensors, config: Mapping[str, Any], path: Path) -> dict[str, Origin]:
    from diffusers import UNet2DModel

    try:
        with torch.device("meta"):
            network = UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, NotImplementedError) as error:
        raise PriorError(f"this version of diffusers cannot build the network described by {path}: {error}") from error
    renamed = {_new_name(name): name for name in tensors}
    return {
        name: Origin(key=renamed.get(name, name), shape=tuple(parameter.shape))
        for name, parameter in network.state_dict().items()
    }


def _new_name(name: str) -> str:
    return re.sub(r"(attentions\.\d+)\.(\w+)\.", lambda m: f"{m[1]}.{OLD_NAMES.get(m[2], m[2])}.", name)


def _scheduled(card: PriorCard, values: Mapping[str, Any], path: Path) -> PriorCard:
    name, predicts = str(values.get("beta_schedule")), values.get("prediction_type", "epsilon")
    if name not in SCHEDULES or values.get("trained_betas") is not None or values.get("rescale_betas_zero_snr"):
        raise PriorError(
            f"{path} ({values.get('_class_name', 'a scheduler')}) has a noise schedule unknown to deqir, which knows "
            f"beta_schedule {', '.join(SCHEDULES)}"
        )
    if predicts not in ("epsilon", "sample", "v_prediction"):
        raise PriorError(f"{path}: prediction_type must be epsilon, sample or v_prediction, got {predicts!r}")
    return replace(
        card,
        schedule=SCHEDULES[name],
        prediction=predicts,
        train_steps=values.get("num_train_timesteps", 1000),
        beta_start=values.get("beta_start", 1e-4),
        beta_end=values.get("beta_end", 0.02),
    )
