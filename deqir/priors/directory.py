"""A prior on disk: a directory with deqir.json, safetensors weights and, for a UNet, config.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import Final, Literal, get_args

from torch import Tensor

from deqir.pretrained.download import install_file
from deqir.pretrained.rrdb import SCALE
from deqir.protocols import LinearOperator
from deqir.sampling.schedule import NoiseSchedule

from .base import Base, base_from
from .prior import PriorError, refuse_beyond
from .starters.starters import Skills

CARD: Final = "deqir.json"
FORMAT: Final = 1
WEIGHTS: Final = {
    "denoiser": "model.safetensors",
    "drunet": "model.safetensors",
    "pyramid": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
}

ScheduleName = Literal["linear", "scaled_linear", "cosine"]
Prediction = Literal["epsilon", "sample", "v_prediction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorCard:
    """The contents of deqir.json.

    Attributes:
        name: Its name for the user.
        kind: "denoiser": an `FFDNet` shaped by `architecture`. "drunet", "pyramid": a `DRUNet` or a
            `PyramidDenoiser`, likewise. "unet": a UNet2DModel by config.json.
        sha256: Digest of the weights file; with a base, of the file that would hold all its weights.
        max_noise: Strongest noise in training, as a standard deviation of images in [0, 1].
        architecture: Arguments of `FFDNet`, `DRUNet` or `PyramidDenoiser`. For a UNet: num_heads if all its attention
            layers have as many heads, which config.json cannot express; else empty.
        schedule, beta_start, beta_end, train_steps: Noise schedule of a UNet's training, see `schedule_of`.
        prediction: Output of a UNet, in diffusers' terms.
        timestep_scale: Factor on the timesteps given to a UNet.
        enlarges, dense, fills, colorizes: Tasks of the starter networks, see `Skills`; their weights are in the same
            file.
        base: Another prior that holds some of the networks; None: the weights file holds all of them.
        native_size: Side of the square training images, in pixels; None: any.
        licence, source: Terms and origin of the weights.
        format: Version of this file's layout.
    """

    name: str
    kind: Literal["denoiser", "drunet", "pyramid", "unet"]
    sha256: str
    max_noise: float
    architecture: Mapping[str, int] = field(default_factory=dict)
    beta_start: float = 1e-4
    beta_end: float = 0.02
    train_steps: int = 1000
    schedule: ScheduleName = "linear"
    prediction: Prediction = "epsilon"
    timestep_scale: float = 1.0
    enlarges: Sequence[int] = ()
    dense: Sequence[int] = ()
    fills: bool = False
    colorizes: bool = False
    base: Base | None = None
    native_size: int | None = None
    licence: str = "not stated"
    source: str = "not stated"
    format: int = FORMAT

    @property
    def file_sha256(self) -> str:
        """Digest of the weights file."""
        return self.sha256 if self.base is None else self.base.own_sha256

    @property
    def skills(self) -> Skills:
        """The tasks of the starter networks."""
        scales, dense = tuple(self.enlarges), tuple(self.dense)
        return Skills(enlarges=scales, dense=dense, fills=self.fills, colorizes=self.colorizes)

    def makes_start(self, A: LinearOperator) -> bool:
        """Return True if the prior's networks make starts for A."""
        return self.skills.makes_start(A)

    def check_noise(self, noise: float) -> None:
        """Raise PriorError if the prior was not trained for noise this strong."""
        refuse_beyond(self.max_noise, noise, prior=self.name)


def read_card(directory: Path) -> PriorCard:
    """Return the card of a prior's directory.

    Raises:
        PriorError: The directory or its deqir.json is missing, or has another layout.
    """
    path = directory / CARD
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PriorError(f"{directory} is not a prior: {CARD} cannot be read there ({error.strerror})") from error
    try:
        return _card(json.loads(text))
    except (ValueError, TypeError) as error:
        names = ", ".join(f.name for f in fields(PriorCard))
        raise PriorError(f"{path} is not a prior's card with the fields {names}: {error}") from error


def _card(values: object) -> PriorCard:
    """Return the card described by a file's JSON; raise ValueError or TypeError if it describes no card."""
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")
    for name, choices in (("schedule", get_args(ScheduleName)), ("prediction", get_args(Prediction))):
        if values.get(name, choices[0]) not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {values[name]!r}")
    enlarges = values.get("enlarges", [])
    if isinstance(enlarges, list) and not all(type(scale) is int and scale > 1 for scale in enlarges):
        raise ValueError(f"enlarges must be a list of whole numbers above 1, got {enlarges!r}")
    dense = values.get("dense", [])
    if isinstance(dense, list) and not all(scale in (SCALE, 2 * SCALE) and scale in enlarges for scale in dense):
        raise ValueError(f"dense must be a list of 4 or 8, each also in enlarges, got {dense!r}")
    layout, kind = values.get("format", FORMAT), values.get("kind")
    if layout != FORMAT or kind not in WEIGHTS:
        known = " or ".join(sorted(WEIGHTS))
        raise ValueError(f"format {layout}, kind {kind}; this deqir reads format {FORMAT}, kind {known}")
    types: dict[str, type | tuple[type, ...]] = {
        "str": str,
        "bool": bool,
        "int": int,
        "float": (int, float),
        "Mapping[str, int]": dict,
        "int | None": (int, NoneType),
        "Sequence[int]": (list, tuple),
    }
    for name, annotation in PriorCard.__annotations__.items():
        if name in values and not isinstance(values[name], types.get(annotation, object)):
            raise TypeError(f"{name} must be of type {annotation}, got {values[name]!r}")
    return PriorCard(**values | {"base": base_from(values.get("base"))})


def schedule_of(card: PriorCard) -> NoiseSchedule:
    """Return the noise schedule of a UNet."""
    if card.schedule == "cosine":
        return NoiseSchedule.cosine(card.train_steps)
    make = NoiseSchedule.linear if card.schedule == "linear" else NoiseSchedule.scaled_linear
    return make(card.train_steps, beta_start=card.beta_start, beta_end=card.beta_end)


def weights_path(directory: Path, card: PriorCard) -> Path:
    """Return the path of the weights file."""
    return directory / WEIGHTS[card.kind]


def verify_weights(directory: Path, card: PriorCard, *, remedy: str = "") -> bytes:
    """Return the bytes of the weights file after checking its digest against the card.

    Args:
        remedy: Remedy for altered weights, for the error; empty: get them anew.

    Raises:
        PriorError: The file is missing or was altered.
    """
    path = weights_path(directory, card)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PriorError(f"the weights of prior {card.name!r} cannot be read: {path} ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    if found != card.file_sha256:
        remedy = remedy or f"delete {directory} and fetch or build it again"
        raise PriorError(
            f"the weights of prior {card.name!r} were altered or cut short: {path} has SHA-256 "
            f"{found[:16]}..., its card says {card.file_sha256[:16]}...; {remedy}"
        )
    return data


def write_prior(directory: Path, card: PriorCard, weights: Mapping[str, Tensor]) -> PriorCard:
    """Write a prior's weights and card into a directory and return the card with the weights' digests.

    The card is written last: a directory with a card is whole. `weights` are all weights; networks of a base are left
    out of the file.
    """
    whole = own = _saved(weights)
    if card.base is not None:
        own = _saved({name: weight for name, weight in weights.items() if not card.base.has(name)})
        card = replace(card, base=replace(card.base, own_sha256=hashlib.sha256(own).hexdigest()))
    install_file(weights_path(directory, card), own)
    return write_card(directory, card, whole)


def _saved(weights: Mapping[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({key: weights[key].detach().cpu().contiguous() for key in sorted(weights)})


def write_card(directory: Path, card: PriorCard, weights: bytes) -> PriorCard:
    """Write deqir.json for weights already in the directory; returns the card with their digest."""
    card = replace(card, sha256=hashlib.sha256(weights).hexdigest())
    newer = ("enlarges", "dense", "fills", "colorizes", "base")
    known = {name: value for name, value in asdict(card).items() if name not in newer or value}  # for older versions
    install_file(directory / CARD, (json.dumps(known, indent=2) + "\n").encode())
    return card
