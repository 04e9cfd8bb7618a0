"""Plain denoisers of KAIR with the noise level as an input: FFDNet and DRUNet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from deqir.networks.drunet import HALVINGS, DRUNet
from deqir.networks.ffdnet import FFDNet
from deqir.priors.directory import PriorCard
from deqir.priors.prior import PriorError

from .facts import Facts, Plan
from .matching import Origin, count, shape_of

FACTS: Final = ("max_noise",)
FFDNET: Final = PriorCard(name="", kind="denoiser", sha256="", max_noise=75 / 255)
DRUNET: Final = PriorCard(name="", kind="drunet", sha256="", max_noise=50 / 255)


def plan_ffdnet(tensors: Mapping[str, Tensor], facts: Facts) -> Plan:
    """Return the plan for an FFDNet checkpoint, for colour or grey.

    Raises:
        PriorError: The checkpoint lacks keys needed to find its architecture, or the network takes no noise level.
    """
    kind = "ffdnet"
    width, inputs = shape_of(tensors, "model.0.weight", kind=kind)[:2]
    last = max(int(found[1]) for key in tensors if (found := re.match(r"model\.(\d+)\.", key)))
    outputs = shape_of(tensors, f"model.{last}.weight", kind=kind)[0]
    if inputs != outputs + 1 or outputs not in (4, 12):
        raise PriorError(
            f"an FFDNet turns 4 x 1 or 4 x 3 channels and the noise level into as many channels, this network "
            f"{inputs} channels into {outputs}; networks without the noise level as input, like DnCNN, are no priors"
        )
    shape = {"channels": outputs // 4, "width": width, "depth": last // 2 + 1}
    return _plan(FFDNet, None, replace(FFDNET, architecture=shape), facts, kind=kind)


def plan_drunet(tensors: Mapping[str, Tensor], facts: Facts) -> Plan:
    """Return the plan for a DRUNet checkpoint, for colour or grey.

    Raises:
        PriorError: The checkpoint lacks keys needed to find its architecture, or the network takes no noise level.
    """
    kind = "drunet"
    width, inputs = shape_of(tensors, "m_head.weight", kind=kind)[:2]
    channels = shape_of(tensors, "m_tail.weight", kind=kind)[0]
    if inputs != channels + 1 or channels not in (1, 3):
        raise PriorError(
            f"a DRUNet turns 1 or 3 channels and the noise level into as many channels, this network {inputs} "
            f"channels into {channels}; networks without the noise level as input are no priors"
        )
    shape = {"channels": channels, "width": width, "blocks": count(tensors, "m_body.{}.res.0.weight")}
    keys = dict(_drunet_keys(shape["blocks"]))
    return _plan(DRUNet, keys, replace(DRUNET, architecture=shape), facts, kind=kind)


def _drunet_keys(blocks: int) -> Iterator[tuple[str, str]]:
    """Yield each parameter of `DRUNet` with its key; KAIR counts scales from 1 and resampling layers as blocks."""
    yield "head.weight", "m_head.weight"
    yield "tail.weight", "m_tail.weight"
    for scale in range(HALVINGS):
        yield f"narrow.{scale}.weight", f"m_down{scale + 1}.{blocks}.weight"
        yield f"widen.{scale}.weight", f"m_up{scale + 1}.0.weight"
    for block in range(blocks):
        for ours, theirs in (("first", "res.0"), ("second", "res.2")):
            yield f"body.{block}.{ours}.weight", f"m_body.{block}.{theirs}.weight"
            for scale in range(HALVINGS):
                yield f"down.{scale}.{block}.{ours}.weight", f"m_down{scale + 1}.{block}.{theirs}.weight"
                yield f"up.{scale}.{block}.{ours}.weight", f"m_up{scale + 1}.{block + 1}.{theirs}.weight"


def _plan(
    network: type[FFDNet | DRUNet], keys: Mapping[str, str] | None, card: PriorCard, facts: Facts, *, kind: str
) -> Plan:
    """Return the plan for a network of the card's architecture; without `keys` its parameters are the file's keys."""
    with torch.device("meta"):
        shapes = {name: tuple(weight.shape) for name, weight in network(**card.architecture).state_dict().items()}
    origins = {name: Origin(key=keys[name] if keys else name, shape=shape) for name, shape in shapes.items()}
    if facts.max_noise is not None:
        return Plan(kind=kind, card=replace(card, max_noise=facts.max_noise), origins=origins)
    return Plan(kind=kind, card=card, origins=origins, assumed=(f"max_noise {card.max_noise:.3f}",))
