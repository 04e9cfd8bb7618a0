"""Turn a published checkpoint into a prior's directory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from deqir.defaults import SHIPPED
from deqir.pretrained.download import install_file
from deqir.priors.catalog import CONFIG, FETCHABLE, load_prior, prior_directory
from deqir.priors.directory import CARD, PriorCard, write_prior
from deqir.priors.prior import Prior, PriorError
from deqir.sampling.schedule import alpha_bar_of

from . import adm, ddpm, folder, plain
from .facts import Facts, Plan
from .files import Tensors, read_tensors
from .matching import gather
from .trial import trial_folder

Kind = Literal["adm", "ddpm", "diffusers", "ffdnet", "drunet"]

PLANNERS: Final[Mapping[str, tuple[Callable[[Mapping[str, Tensor], Facts], Plan], tuple[str, ...]]]] = {
    "adm": (adm.plan, adm.FACTS),
    "ddpm": (ddpm.plan, ddpm.FACTS),
    "ffdnet": (plain.plan_ffdnet, plain.FACTS),
    "drunet": (plain.plan_drunet, plain.FACTS),
}
"""For each kind of file, its planner and the names of the `Facts` used by it."""
SIGNS: Final[Mapping[str, tuple[str, ...]]] = {
    "adm": ("input_blocks.", "output_blocks."),
    "ddpm": ("down.", "up.", "mid."),
    "ffdnet": ("model.",),
    "drunet": ("m_head.", "m_body."),
}
"""Prefixes of keys; only networks of a kind have keys with all of its prefixes."""

PROBE_SIDE: Final = 64
PROBE_NOISE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The prior made of a checkpoint.

    Attributes:
        kind: Kind of the checkpoint.
        assumed: Facts assumed because the file does not state them, in words.
        remaining_noise: See `remaining_noise`; near 1 or above, an assumption is wrong.
    """

    directory: Path
    kind: str
    card: PriorCard
    assumed: tuple[str, ...]
    remaining_noise: float


def import_prior(
    path: Path,
    *,
    name: str,
    kind: Kind | None = None,
    licence: str = "not stated",
    facts: Facts | None = None,
) -> Imported:
    """Write a checkpoint as a prior into the user's cache, or another directory, and return the result.

    It is first written to a temporary directory nearby and tried there, so a failed import leaves nothing behind.

    Args:
        path: A file of tensors, or a directory of diffusers.
        name: Name of the new prior, or its directory if there is a slash in it.
        kind: Kind of the checkpoint; None: found from its keys.
        licence: Terms of the weights as stated by their publisher.

    Raises:
        PriorError: The checkpoint is of no known kind, is damaged or incomplete, would run code or does not work,
            or the name is taken.
    """
    directory, facts = _free_directory(name), facts or Facts()
    if not path.exists():
        raise PriorError(f"{path} is not there")
    near = next(parent for parent in directory.resolve().parents if parent.is_dir())
    with trial_folder(near) as folder:
        trial = folder / directory.name
        plan, card = _write(path, trial, kind, licence, facts)
        left = _tried(trial, path)
        _move(trial, directory)
    return Imported(directory=directory, kind=plan.kind, card=card, assumed=plan.assumed, remaining_noise=left)


def _write(path: Path, directory: Path, kind: Kind | None, licence: str, facts: Facts) -> tuple[Plan, PriorCard]:
    """Write the prior; all tensors are freed before it is loaded again."""
    plan, tensors = _planned(path, kind, facts)
    weights = gather(tensors, plan.origins, kind=plan.kind)
    if plan.config is not None:
        install_file(directory / CONFIG, (json.dumps(plan.config, indent=2) + "\n").encode())
    card = replace(plan.card, name=directory.name, licence=licence, source=_source(path, plan.kind))
    return plan, write_prior(directory, card, weights)


def _tried(trial: Path, path: Path) -> float:
    prior = load_prior(str(trial), device="cpu")
    try:
        return remaining_noise(prior)
    except RuntimeError as error:
        raise PriorError(f"the network of {path} is whole, but fails on a small picture: {error}") from error


def _move(trial: Path, directory: Path) -> None:
    """Move a prior's files, the card last: a directory with a card is whole."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in sorted(trial.iterdir(), key=lambda file: file.name == CARD):
        os.replace(file, directory / file.name)


def _free_directory(name: str) -> Path:
    directory = prior_directory(name)
    if not name.strip() or not directory.name:
        raise PriorError(f"{name!r} is no name for a prior")
    if name in FETCHABLE:
        raise PriorError(f"{name!r} is the name of the prior of `deqir models fetch {name}`; choose another name")
    if name in SHIPPED:
        raise PriorError(f"{name!r} is a prior included in deqir; choose another name")
    if (directory / CARD).exists():
        raise PriorError(f"a prior named {name!r} is here already; delete {directory} or choose another name")
    return directory


def _planned(path: Path, kind: Kind | None, facts: Facts) -> tuple[Plan, Tensors]:
    if path.is_dir():
        if kind not in (None, "diffusers"):
            raise PriorError(f"{path} is a directory, but a checkpoint of kind {kind} is a file")
        facts.check(folder.FACTS, kind=folder.KIND)
        return folder.plan(path, facts)
    if kind == "diffusers":
        raise PriorError(f"{path} is a file; give the directory with this file and its config.json")
    tensors = read_tensors(path)
    found = kind or _kind_of(tensors, path)
    plan, used = PLANNERS[found]
    facts.check(used, kind=found)
    return plan(tensors, facts), tensors


def _kind_of(tensors: Mapping[str, Tensor], path: Path) -> Kind:
    for kind, signs in SIGNS.items():
        if all(any(key.startswith(sign) for key in tensors) for sign in signs):
            return kind  # type: ignore[return-value]
    if any(key.startswith("down_blocks.") for key in tensors):
        raise PriorError(f"{path} belongs to a directory of diffusers; give the directory, with its config.json")
    some = ", ".join(list(tensors)[:3])
    raise PriorError(
        f"{path} is no checkpoint of a known kind ({', '.join(PLANNERS)}, or a directory of diffusers): its "
        f"{len(tensors)} keys begin with {some}"
    )


def _source(path: Path, kind: str) -> str:
    if path.is_dir():
        return f"{kind}, directory {path.resolve().name}"
    with path.open("rb") as file:
        return f"{kind}, {path.name}, SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def remaining_noise(prior: Prior) -> float:
    """Return the share of noise left by a prior on a drawn test picture, in the Euclidean norm; 1 is no denoiser.

    The picture has a soft gradient and two discs with sharp edges, the noise a standard deviation of 0.1 for images
    in [0, 1]. FFDNet leaves 0.17.
    """
    axis = torch.linspace(-1, 1, PROBE_SIDE)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    picture = 0.4 * x - 0.3 * y
    picture = torch.where((x - 0.2) ** 2 + y**2 < 0.3, 0.6 - picture, picture)
    picture = torch.where((x + 0.5) ** 2 + (y - 0.4) ** 2 < 0.1, picture - 0.5, picture)
    clean = torch.stack([picture, 0.8 * picture + 0.1, 0.7 * picture - 0.1])[None].clamp(-1, 1)
    sigma = torch.tensor([2 * PROBE_NOISE], dtype=torch.float64)
    alpha_bar = alpha_bar_of(sigma)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    root, spread = alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()
    with torch.inference_mode():
        eps = prior((root * clean + spread * noise).to(prior.device), alpha_bar.to(prior.device)).cpu()
    return float((eps - noise).norm() / noise.norm())
