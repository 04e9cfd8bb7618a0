"""A prior on disk: a directory with deqir.json, safetensors weights and, for a UNet, diffusers' config.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final, Literal

from torch import Tensor

from ..download import install_file
from .prior import PriorError

CARD: Final = "deqir.json"
FORMAT: Final = 1
WEIGHTS: Final = {"denoiser": "model.safetensors", "unet": "diffusion_pytorch_model.safetensors"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorCard:
    """What deqir.json says.

    Attributes:
        name: What the user calls it.
        kind: "denoiser": an `FFDNet` shaped by `architecture`. "unet": diffusers' UNet2DModel by its config.json.
        sha256: Digest of the weights file.
        max_noise: Strongest noise trained for, as a standard deviation of images in [0, 1].
        architecture: Arguments of `FFDNet`; empty for a UNet.
        beta_start, beta_end, train_steps: The linear schedule of a UNet.
        licence, source: Terms of the weights and where they come from.
        format: Version of this file's layout.
    """

    name: str
    kind: Literal["denoiser", "unet"]
    sha256: str
    max_noise: float
    architecture: Mapping[str, int] = field(default_factory=dict)
    beta_start: float = 1e-4
    beta_end: float = 0.02
    train_steps: int = 1000
    licence: str = "not stated"
    source: str = "not stated"
    format: int = FORMAT


def read_card(directory: Path) -> PriorCard:
    """Return the card of a prior's directory.

    Raises:
        PriorError: No such directory, no deqir.json in it, or one of another layout.
    """
    path = directory / CARD
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PriorError(f"{directory} is not a prior: {CARD} cannot be read there ({error.strerror})") from error
    try:
        values = json.loads(text)
        card = PriorCard(**{key: values[key] for key in values})
    except (ValueError, TypeError) as error:
        names = ", ".join(f.name for f in fields(PriorCard))
        raise PriorError(f"{path} is not a prior's card with the fields {names}: {error}") from error
    if card.format != FORMAT or card.kind not in WEIGHTS:
        raise PriorError(f"{path} has format {card.format} and kind {card.kind!r}; this deqir reads format {FORMAT}")
    return card


def weights_path(directory: Path, card: PriorCard) -> Path:
    """Return the file that holds the weights."""
    return directory / WEIGHTS[card.kind]


def verify_weights(directory: Path, card: PriorCard) -> bytes:
    """Return the bytes of the weights file, whose digest is the card's.

    Raises:
        PriorError: The file is missing or was altered.
    """
    path = weights_path(directory, card)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PriorError(f"the weights of prior {card.name!r} cannot be read: {path} ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise PriorError(
            f"the weights of prior {card.name!r} were altered or cut short: {path} has SHA-256 {found[:16]}..., "
            f"its card says {card.sha256[:16]}...; delete {directory} and fetch or build it again"
        )
    return data


def write_prior(directory: Path, card: PriorCard, weights: Mapping[str, Tensor]) -> PriorCard:
    """Write a denoiser's weights and card into a directory and return the card with the weights' digest.

    The card is written last, so that a directory with a card is whole.
    """
    from safetensors.torch import save

    data = save({key: weights[key].detach().cpu().contiguous() for key in sorted(weights)})
    install_file(weights_path(directory, card), data)
    return write_card(directory, card, data)


def write_card(directory: Path, card: PriorCard, weights: bytes) -> PriorCard:
    """Write deqir.json for weights that are in the directory already; returns it with their digest."""
    values = asdict(card) | {"sha256": hashlib.sha256(weights).hexdigest()}
    install_file(directory / CARD, (json.dumps(values, indent=2) + "\n").encode())
    return PriorCard(**values)
