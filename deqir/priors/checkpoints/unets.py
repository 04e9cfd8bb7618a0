"""The common parts of ADM's and DDPM's networks, by their names in diffusers' UNet2DModel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from deqir.priors.directory import PriorCard, schedule_of
from deqir.priors.prior import PriorError

from .facts import Facts
from .matching import Origin

UNET: Final = PriorCard(name="", kind="unet", sha256="", max_noise=0.0)
"""The card of a UNet before anything is known of it."""
GROUPS: Final = 32
"""Groups of every group normalisation in both families."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The architecture read from the keys and shapes of a checkpoint.

    Attributes:
        channels, outputs: Channels of the image, and of the network's output.
        widths: Channels of each scale, the finest first.
        blocks: Residual blocks of a scale on the way down.
        attention: True for scales with attention behind each block.
    """

    channels: int
    outputs: int
    widths: tuple[int, ...]
    blocks: int
    attention: tuple[bool, ...]

    def check(self, *, kind: str) -> None:
        """Raise PriorError if the network cannot be a prior, or is of another kind."""
        if self.outputs not in (self.channels, 2 * self.channels) or self.channels not in (1, 3):
            raise PriorError(
                f"the network turns {self.channels} channels into {self.outputs}; a prior must turn 1 or 3 channels "
                "into as many, or twice as many if it also predicts variances; networks with a second image as input "
                "(upsamplers, inpainters) are no priors"
            )
        if any(width % GROUPS for width in self.widths):
            raise PriorError(f"a {kind} network has widths divisible by {GROUPS}, this network has {self.widths}")

    def config(self) -> dict[str, Any]:
        """Return the arguments of UNet2DModel common to both families."""
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
    """The module of the checkpoint with the parameters of a module of UNet2DModel; see `Origin` for the rest."""

    key: str
    folded: int = 0
    third: int | None = None
    heads: int | None = None
    """Number of consecutive stacks of query, key and value; None: 1."""
    head_channels: int | None = None


Places = Iterator[tuple[str, Place]]


def parts(target: str, source: str, names: Mapping[str, str]) -> Places:
    """Yield each part of a block: its name below `target`, and its place below `source`."""
    for ours, theirs in names.items():
        yield f"{target}.{ours}", Place(key=f"{source}.{theirs}")


def origins(config: Mapping[str, Any], places: Places) -> dict[str, Origin]:
    """Return the origin of each parameter of the UNet2DModel of this config."""
    from diffusers import UNet2DModel

    with torch.device("meta"):
        network = UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
    known, found = dict(places), dict[str, Origin]()
    for name, parameter in network.state_dict().items():
        module, _, leaf = name.rpartition(".")
        place = known[module]
        groups = parameter.shape[0] // place.head_channels if place.head_channels else place.heads or 1
        found[name] = Origin(
            key=f"{place.key}.{leaf}",
            shape=tuple(parameter.shape),
            folded=place.folded if leaf == "weight" else 0,
            third=place.third,
            groups=groups,
        )
    return found


def trained(card: PriorCard, facts: Facts, *, guess: int | None, rescaled: bool) -> tuple[PriorCard, tuple[str, ...]]:
    """Return the card with schedule, noise range and size, and a list of the assumed values.

    Args:
        guess: Side of the images suggested by the architecture.
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
    used = {"noise_schedule": card.schedule, "diffusion_steps": steps, "image_size": card.native_size}
    assumed = (f"{name} {value}" for name, value in used.items() if getattr(facts, name) is None and value is not None)
    return replace(card, max_noise=float(schedule_of(card).sigma[-1]) / 2), tuple(assumed)
