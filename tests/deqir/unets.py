"""Small networks of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from deqir.priors import PriorCard, write_card

WEIGHTS: Final = "diffusion_pytorch_model.safetensors"
CARD: Final = PriorCard(name="tiny unet", kind="unet", sha256="", max_noise=80.0)


def small_unet(*, attention: bool = False, **options: Any) -> UNet2DModel:
    """A seeded UNet that halves the image once."""
    torch.manual_seed(0)
    block = "AttnDownBlock2D" if attention else "DownBlock2D"
    shape: dict[str, Any] = {
        "sample_size": 8,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", block),
        "up_block_types": (block.replace("Down", "Up"), "UpBlock2D"),
        "add_attention": attention,
    }
    return UNet2DModel(**shape | options).eval()


def save_as_prior(network: UNet2DModel, folder: Path) -> None:
    """Save a network as diffusers does, with a prior's card beside it."""
    network.save_pretrained(folder)
    write_card(folder, CARD, (folder / WEIGHTS).read_bytes())


class Watched(nn.Module):
    """A network that notes the timesteps that it is given."""

    def __init__(self, network: UNet2DModel) -> None:
        super().__init__()
        self.network, self.seen = network, list[Tensor]()

    def forward(self, x: Tensor, timestep: Tensor) -> object:
        self.seen.append(timestep)
        return self.network(x, timestep)
