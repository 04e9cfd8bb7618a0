"""Networks of OpenAI's guided-diffusion and improved-diffusion (ADM) as UNet2DModel.

Dhariwal and Nichol (2021), https://arxiv.org/abs/2105.05233.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import Tensor

from deqir.priors.prior import PriorError

from .facts import Facts, Plan
from .matching import shape_of
from .unets import UNET, Layout, Place, Places, origins, parts, trained

KIND: Final = "adm"
FACTS: Final = (
    "num_heads",
    "num_head_channels",
    "use_new_attention_order",
    "noise_schedule",
    "diffusion_steps",
    "image_size",
)
BLOCK: Final = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
COARSEST: Final = 8
"""Side of the coarsest scale of the published networks: 64 pixels have 4 scales, 256 have 6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Further differences between networks of this family.

    Attributes:
        resblock_updown: Residual blocks change the scale, not convolutions.
        use_scale_shift_norm: The noise level scales and shifts features, instead of being added to them.
        heads, head_channels: Heads, or channels per head, of the attention; one of the two is None.
        new_order: Query, key and value are split before the heads.
    """

    resblock_updown: bool
    use_scale_shift_norm: bool
    heads: int | None
    head_channels: int | None
    new_order: bool


def plan(tensors: Mapping[str, Tensor], facts: Facts) -> Plan:
    """Return the plan for an ADM checkpoint as a UNet2DModel; the first half of 6 output channels is eps.

    Raises:
        PriorError: The network needs a class or a second image, the checkpoint lacks keys needed to find its
            architecture, or UNet2DModel cannot express it.
    """
    if "label_emb.weight" in tensors:
        classes = len(tensors["label_emb.weight"])
        raise PriorError(
            f"the network needs to know which of {classes} classes an image shows, and an archive has no classes; "
            "import an unconditional network, such as 256x256_diffusion_uncond.pt"
        )
    layout, variant, assumed = _layout(tensors), *_variant(tensors, facts)
    if shape_of(tensors, "time_embed.0.weight", kind=KIND)[1] != layout.widths[0]:
        raise PriorError(
            "the finest scale is narrower than the network's base width, as in the networks for 512 pixels; "
            "diffusers' UNet2DModel cannot express it"
        )
    card = replace(UNET, architecture={"num_heads": variant.heads} if variant.heads else {})
    card, more = trained(card, facts, guess=COARSEST * 2 ** (len(layout.widths) - 1), rescaled=True)
    config = _config(layout, variant) | {"sample_size": card.native_size}
    places = _places(layout, variant)
    return Plan(kind=KIND, card=card, origins=origins(config, places), config=config, assumed=(*assumed, *more))


def _layout(tensors: Mapping[str, Tensor]) -> Layout:
    first = shape_of(tensors, "input_blocks.0.0.weight", kind=KIND)
    outputs = shape_of(tensors, "out.2.weight", kind=KIND)[0]
    inner = range(1, _blocks(tensors, "input_blocks"))
    ends = [n for n in range(_blocks(tensors, "output_blocks")) if _upsamples(tensors, n)]
    a_scale = ends[0] + 1 if ends else len(inner) + 1  # blocks of a scale and the resampling after them
    starts = [1 + scale * a_scale for scale in range((len(inner) + 1) // a_scale)]
    layout = Layout(
        channels=first[1],
        outputs=outputs,
        widths=tuple(shape_of(tensors, f"input_blocks.{n}.0.out_layers.3.weight", kind=KIND)[0] for n in starts),
        blocks=a_scale - 1,
        attention=tuple(f"input_blocks.{n}.1.qkv.weight" in tensors for n in starts),
    )
    if not starts:
        raise PriorError(f"the checkpoint is not a whole {KIND} network: it has {len(inner) + 1} input blocks")
    layout.check(kind=KIND)
    return layout


def _blocks(tensors: Mapping[str, Tensor], name: str) -> int:
    numbers = [int(found[1]) for key in tensors if (found := re.match(rf"{name}\.(\d+)\.", key))]
    return max(numbers, default=-1) + 1


def _upsamples(tensors: Mapping[str, Tensor], block: int) -> bool:
    places = [f"output_blocks.{block}.{n}." for n in (1, 2)]
    return any(f"{place}{part}.weight" in tensors for place in places for part in ("conv", "in_layers.2"))


def _variant(tensors: Mapping[str, Tensor], facts: Facts) -> tuple[Variant, tuple[str, ...]]:
    """Return the variant read from the keys, and the assumed facts in words."""
    width = shape_of(tensors, "input_blocks.1.0.out_layers.3.weight", kind=KIND)[0]
    updown = not any(key.endswith(".0.op.weight") for key in tensors)
    heads, head_channels, assumed = facts.num_heads, facts.num_head_channels, list[str]()
    if heads is None and head_channels is None:
        # guided-diffusion's unconditional networks have 64 channels a head, its predecessor's networks 4 heads
        heads, head_channels = (None, 64) if updown else (4, None)
        assumed.append("num_head_channels 64" if updown else "num_heads 4")
    if facts.use_new_attention_order is None:
        assumed.append("use_new_attention_order no")
    _check_heads(tensors, heads, head_channels)
    variant = Variant(
        resblock_updown=updown,
        use_scale_shift_norm=shape_of(tensors, "input_blocks.1.0.emb_layers.1.weight", kind=KIND)[0] == 2 * width,
        heads=heads,
        head_channels=head_channels,
        new_order=bool(facts.use_new_attention_order),
    )
    return variant, tuple(assumed)


def _check_heads(tensors: Mapping[str, Tensor], heads: int | None, head_channels: int | None) -> None:
    for key, tensor in tensors.items():
        if key.endswith(".norm.weight") and len(tensor) % (heads or head_channels or 1):
            fact = f"num_heads {heads}" if heads else f"num_head_channels {head_channels}"
            raise PriorError(
                f"{len(tensor)} channels of attention ({key}) cannot be divided by {fact}; give the network's own value"
            )


def _config(layout: Layout, variant: Variant) -> dict[str, Any]:
    plain_down, plain_up = "DownBlock2D", "UpBlock2D"
    if variant.resblock_updown:
        plain_down, plain_up = "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
    resampling = "resnet" if variant.resblock_updown else "conv"
    return layout.config() | {
        "down_block_types": ["AttnDownBlock2D" if seen else plain_down for seen in layout.attention],
        "up_block_types": ["AttnUpBlock2D" if seen else plain_up for seen in reversed(layout.attention)],
        "downsample_type": resampling,
        "upsample_type": resampling,
        "downsample_padding": 1,
        "resnet_time_scale_shift": "scale_shift" if variant.use_scale_shift_norm else "default",
        "attention_head_dim": variant.head_channels,  # None: one head, until the card's num_heads is set
        "norm_eps": 1e-5,
        "freq_shift": 0,
        "flip_sin_to_cos": True,
    }


def _places(layout: Layout, variant: Variant) -> Places:
    """Yield the places of the parts of UNet2DModel; the last block of a scale changes the scale."""
    yield "time_embedding.linear_1", Place(key="time_embed.0")
    yield "time_embedding.linear_2", Place(key="time_embed.2")
    yield "conv_in", Place(key="input_blocks.0.0")
    yield from parts("mid_block.resnets.0", "middle_block.0", BLOCK)
    yield from _attention("mid_block.attentions.0", "middle_block.1", variant)
    yield from parts("mid_block.resnets.1", "middle_block.2", BLOCK)
    last, a_scale = len(layout.widths) - 1, layout.blocks + 1
    for scale, seen in enumerate(layout.attention):
        down, up = f"down_blocks.{scale}", f"up_blocks.{last - scale}"
        for block in range(a_scale):
            if block < layout.blocks:
                yield from _block(down, block, f"input_blocks.{1 + scale * a_scale + block}", variant)
            yield from _block(up, block, f"output_blocks.{(last - scale) * a_scale + block}", variant)
        if scale < last:
            yield from _resampling(f"{down}.downsamplers.0", f"input_blocks.{(scale + 1) * a_scale}.0", "op", variant)
        if scale > 0:
            source = f"output_blocks.{(last - scale + 1) * a_scale - 1}.{2 if seen else 1}"
            yield from _resampling(f"{up}.upsamplers.0", source, "conv", variant)
    yield "conv_norm_out", Place(key="out.0")
    yield "conv_out", Place(key="out.2")


def _block(target: str, number: int, source: str, variant: Variant) -> Places:
    yield from parts(f"{target}.resnets.{number}", f"{source}.0", BLOCK)
    yield from _attention(f"{target}.attentions.{number}", f"{source}.1", variant)


def _attention(target: str, source: str, variant: Variant) -> Places:
    yield f"{target}.group_norm", Place(key=f"{source}.norm")
    heads, head_channels = (None, None) if variant.new_order else (variant.heads, variant.head_channels)
    for third, name in enumerate(("to_q", "to_k", "to_v")):
        place = Place(key=f"{source}.qkv", folded=1, third=third, heads=heads, head_channels=head_channels)
        yield f"{target}.{name}", place
    yield f"{target}.to_out.0", Place(key=f"{source}.proj_out", folded=1)


def _resampling(target: str, source: str, convolution: str, variant: Variant) -> Places:
    if variant.resblock_updown:
        yield from parts(target, source, BLOCK)
    else:
        yield f"{target}.conv", Place(key=f"{source}.{convolution}")
