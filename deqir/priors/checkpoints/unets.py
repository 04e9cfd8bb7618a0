"""What ADM's and DDPM's networks have in common: their parts, as diffusers' UNet2DModel names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from deqir.priors.directory import PriorCard, schedule_of
from deqir.priors.prior import PriorError

from .facts import Facts
from .matching import Origin

GROUPS: Final = 32
"""Groups of every group normalisation in both families."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The architecture that the keys and shapes of a checkpoint tell.

    Attributes:
        channels, outputs: Of the image, and of what the network returns.
        widths: Channels of each scale, the finest first.
        blocks: Residual blocks of a scale on the way down.
        attention: Which scales have attention behind each block.
    """

    channels: int
    outputs: int
    widths: tuple[int, ...]
    blocks: int
    attention: tuple[bool, ...]

    def check(self, *, kind: str) -> None:
        """Raise PriorError where a network of these parts cannot be a prior, or is none of this kind."""
        if self.outputs not in (self.channels, 2 * self.channels) or self.channels not in (1, 3):
            raise PriorError(
                f"the network turns {self.channels} channels into {self.outputs}, and a prior needs one that turns "
                "1 or 3 into as many, or twice as many where it also predicts variances; networks that are "
                "given a second image (upsamplers, inpainters) are none"
            )
        if any(width % GROUPS for width in self.widths):
            raise PriorError(f"a {kind} network has widths divisible by {GROUPS}, this one {self.widths}")

    def config(self) -> dict[str, Any]:
        """Return the arguments of UNet2DModel that both families share."""
        return {
            "_class_name": "UNet2DModel",
            "in_channels": self.channels,
            "out_channels": self.outputs,
            "block_out_channels": list(self.widths),
            "layers_per_block": self.blocks,
            "norm_num_groups": GROUPS,
            "attn_norm_num_groups": GROUPS,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A module of the checkpoint that holds what a module of UNet2DModel needs; see `Origin` for the rest."""

    key: str
    folded: int = 0
    third: int | None = None
    heads: int | None = None
    """Stacks of query, key and value that lie behind each other; None: one."""
    head_channels: int | None = None


Places = Iterator[tuple[str, Place]]


def parts(target: str, source: str, names: Mapping[str, str]) -> Places:
    """Yield the places of the parts of one block, each name below `target` with its name below `source`."""
    for ours, theirs in names.items():
        yield f"{target}.{ours}", Place(key=f"{source}.{theirs}")


def origins(config: Mapping[str, Any], places: Places) -> dict[str, Origin]:
    """Return where each parameter of the UNet2DModel of this config comes from."""
    from diffusers import UNet2DModel

    with torch.device("meta"):
        network = UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
    known, found = dict(places), dict[str, Origin]()
    for name, parameter in network.state_dict().items():
        module, _, leaf = name.rpartition(".")
        place = known[module]
        groups = place.heads or 1
        if place.head_channels:
            groups = parameter.shape[0] // place.head_channels
        found[name] = Origin(
            key=f"{place.key}.{leaf}",
            shape=tuple(parameter.shape),
            folded=place.folded if leaf == "weight" else 0,
            third=place.third,
            groups=groups,
        )
    return found


def trained(card: PriorCard, facts: Facts, *, guess: int | None, rescaled: bool) -> tuple[PriorCard, tuple[str, ...]]:
    """Return the card with schedule, noise range and size, and what of them was taken for granted.

    Args:
        card: Of the network.
        facts: What the user says.
        guess: Side of the images that the architecture suggests.
        rescaled: The network is given timesteps as if there were 1000 of them.
    """
    steps = facts.diffusion_steps or card.train_steps
    card = replace(
        card,
        schedule=facts.noise_schedule or card.schedule,
        train_steps=steps,
        timestep_scale=1000 / steps if rescaled else 1.0,
        native_size=facts.image_size or guess,
    )
    assumed = []
    if facts.noise_schedule is None:
        assumed.append(f"noise_schedule {card.schedule}")
    if facts.diffusion_steps is None:
        assumed.append(f"diffusion_steps {card.train_steps}")
    if facts.image_size is None and guess is not None:
        assumed.append(f"image_size {guess}")
    return replace(card, max_noise=float(schedule_of(card).sigma[-1]) / 2), tuple(assumed)
