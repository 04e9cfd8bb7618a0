"""The networks known by name: priors, upscalers and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from .pretrained.download import ModelError, cache_dir
from .pretrained.lpips import LPIPS_WEIGHTS
from .pretrained.real_esrgan import REAL_ESRGAN_WEIGHTS
from .priors import FETCHABLE, SHIPPED, available_priors, fetch_prior, prior_digest, prior_directory, read_card
from .priors.checkpoints.trial import remove_left_over

REAL_ESRGAN: Final = REAL_ESRGAN_WEIGHTS.name
PINNED: Final = {weights.name: weights for weights in (LPIPS_WEIGHTS, REAL_ESRGAN_WEIGHTS)}
"""The upscalers and metrics, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network known by name.

    Attributes:
        use: "prior": restores. "upscaler": makes images for restorations to start from. "metric": measures.
        licence, source: Terms and origin of the weights; empty for a prior not on this machine.
    """

    name: str
    use: Literal["prior", "upscaler", "metric"]
    here: bool
    licence: str
    source: str


def available_models() -> tuple[Model, ...]:
    """Return the networks known to this version or in the cache, by name."""
    models = [
        Model(
            name=name,
            use="prior",
            here=card is not None,
            licence=card.licence if card else "",
            source=card.source if card else "",
        )
        for name, card in available_priors().items()
    ]
    models += [
        Model(name=name, use=weights.use, here=weights.path.exists(), licence=weights.licence, source=weights.source)
        for name, weights in PINNED.items()
    ]
    return tuple(sorted(models, key=lambda model: model.name))


def fetch_model(name: str) -> Path:
    """Download a known network into the user's cache, unless it is there and whole; returns its directory.

    Leftovers of killed imports into the cache are removed.

    Raises:
        ModelError: No such network, or the file differs from the pinned file.
        DownloadError: The network could not be downloaded, or the archive was altered.
    """
    remove_left_over(cache_dir() / "priors")
    if name in PINNED:
        return PINNED[name].fetch()
    if name not in {*FETCHABLE, *SHIPPED}:
        known = ", ".join(sorted([*FETCHABLE, *PINNED]))
        raise ModelError(f"no model named {name!r} can be fetched; known: {known}")
    return fetch_prior(name)


def describe_model(name: str) -> Mapping[str, object]:
    """Return the facts about a network, after checking its weights.

    Args:
        name: A name from `available_models`, or the path of a prior's directory.

    Raises:
        ModelError: The network is not on this machine, or was altered.
    """
    if name in PINNED:
        weights = PINNED[name]
        weights.read()
        return {
            "directory": weights.path.parent,
            "name": name,
            "use": weights.use,
            "sha256": weights.sha256,
            "licence": weights.licence,
            "source": weights.source,
        }
    prior_digest(name)
    directory = prior_directory(name)
    card = read_card(directory)
    return {"directory": directory, **asdict(card), "base": card.base and card.base.prior}
