"""Networks of DDPM in its PyTorch form (ermongroup/ddim; CelebA-HQ of SDEdit and DDNM) as UNet2DModel.

Ho et al. (2020), https://arxiv.org/abs/2006.11239, appendix B.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from .facts import Facts, Plan
from .matching import count, shape_of
from .unets import UNET, Layout, Place, Places, origins, parts, trained

KIND: Final = "ddpm"
FACTS: Final = ("noise_schedule", "diffusion_steps", "image_size")
BLOCK: Final = {
    "norm1": "norm1",
    "conv1": "conv1",
    "time_emb_proj": "temb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "conv_shortcut": "nin_shortcut",
}
ATTENTION: Final = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
ATTENDED: Final = 16
"""Side of the scale with attention in the published networks, for any image size."""


def plan(tensors: Mapping[str, Tensor], facts: Facts) -> Plan:
    """Return the plan for a DDPM checkpoint, which predicts eps, as a UNet2DModel.

    Raises:
        PriorError: The checkpoint lacks keys needed to find its architecture, or UNet2DModel cannot express it.
    """
    layout = _layout(tensors)
    halvings = layout.attention.index(True) if any(layout.attention) else len(layout.widths) - 1
    card, assumed = trained(UNET, facts, guess=ATTENDED * 2**halvings, rescaled=False)
    config = _config(layout) | {"sample_size": card.native_size}
    return Plan(kind=KIND, card=card, origins=origins(config, _places(layout)), config=config, assumed=assumed)


def _layout(tensors: Mapping[str, Tensor]) -> Layout:
    first = shape_of(tensors, "conv_in.weight", kind=KIND)
    shape_of(tensors, "down.0.block.0.conv1.weight", kind=KIND)
    scales = range(count(tensors, "down.{}.block.0.conv1.weight"))
    layout = Layout(
        channels=first[1],
        outputs=shape_of(tensors, "conv_out.weight", kind=KIND)[0],
        widths=tuple(len(tensors[f"down.{scale}.block.0.conv1.weight"]) for scale in scales),
        blocks=count(tensors, "down.0.block.{}.conv1.weight"),
        attention=tuple(f"down.{scale}.attn.0.q.weight" in tensors for scale in scales),
    )
    layout.check(kind=KIND)
    return layout


def _config(layout: Layout) -> dict[str, Any]:
    return layout.config() | {
        "down_block_types": ["AttnDownBlock2D" if seen else "DownBlock2D" for seen in layout.attention],
        "up_block_types": ["AttnUpBlock2D" if seen else "UpBlock2D" for seen in reversed(layout.attention)],
        "downsample_padding": 0,  # diffusers then pads right and below, like this family
        "attention_head_dim": None,  # one head
        "norm_eps": 1e-6,
        "freq_shift": 1,
        "flip_sin_to_cos": False,
    }


def _places(layout: Layout) -> Places:
    yield from parts("time_embedding", "temb", {"linear_1": "dense.0", "linear_2": "dense.1"})
    yield "conv_in", Place(key="conv_in")
    last = len(layout.widths) - 1
    for scale in range(last + 1):
        down, up = f"down_blocks.{scale}", f"up_blocks.{last - scale}"
        for block in range(layout.blocks + 1):
            for target, source in ((down, f"down.{scale}"), (up, f"up.{scale}")):
                yield from parts(f"{target}.resnets.{block}", f"{source}.block.{block}", BLOCK)
                yield from _attention(f"{target}.attentions.{block}", f"{source}.attn.{block}")
        yield f"{down}.downsamplers.0.conv", Place(key=f"down.{scale}.downsample.conv")
        yield f"{up}.upsamplers.0.conv", Place(key=f"up.{scale}.upsample.conv")
    yield from parts("mid_block.resnets.0", "mid.block_1", BLOCK)
    yield from _attention("mid_block.attentions.0", "mid.attn_1")
    yield from parts("mid_block.resnets.1", "mid.block_2", BLOCK)
    yield "conv_norm_out", Place(key="norm_out")
    yield "conv_out", Place(key="conv_out")


def _attention(target: str, source: str) -> Places:
    yield f"{target}.group_norm", Place(key=f"{source}.norm")
    for ours, theirs in ATTENTION.items():
        yield f"{target}.{ours}", Place(key=f"{source}.{theirs}", folded=2)
