"""The networks one can name: the priors, the one that enlarges, and the one that measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from . import perceptual, real_esrgan
from .download import ModelError
from .priors import FETCHABLE, available_priors, fetch_prior, prior_digest, prior_directory, read_card

LPIPS: Final = "lpips"
REAL_ESRGAN: Final = "real-esrgan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One network.

    Attributes:
        name: What `fetch_model` calls it.
        use: "prior": restores. "upscaler": makes what restorations may start from. "metric": measures.
        here: Its weights are in the cache.
        licence, source: Terms of the weights and where they come from; empty for a prior that is not here.
    """

    name: str
    use: Literal["prior", "upscaler", "metric"]
    here: bool
    licence: str
    source: str


def available_models() -> tuple[Model, ...]:
    """Return the networks that are known or in the cache, by name."""
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
    models.append(
        Model(
            name=LPIPS,
            use="metric",
            here=perceptual.lpips_path().exists(),
            licence=perceptual.LICENCE,
            source=perceptual.SOURCE,
        )
    )
    models.append(
        Model(
            name=REAL_ESRGAN,
            use="upscaler",
            here=real_esrgan.real_esrgan_path().exists(),
            licence=real_esrgan.LICENCE,
            source=real_esrgan.SOURCE,
        )
    )
    return tuple(sorted(models, key=lambda model: model.name))


def fetch_model(name: str) -> Path:
    """Download a known network into the user's cache, unless it is there and whole; returns its directory.

    Raises:
        ModelError: No such network, or what came is not what this version pins.
        DownloadError: It could not be downloaded, or the archive was altered.
    """
    if name == LPIPS:
        return perceptual.fetch_lpips()
    if name == REAL_ESRGAN:
        return real_esrgan.fetch_real_esrgan()
    if name not in FETCHABLE:
        known = ", ".join(sorted([*FETCHABLE, LPIPS, REAL_ESRGAN]))
        raise ModelError(f"no model named {name!r} can be fetched; known: {known}")
    return fetch_prior(name)


def describe_model(name: str) -> Mapping[str, object]:
    """Return what is known of a network, after checking that its weights are whole.

    Args:
        name: As `available_models` names it, or the path of a prior's directory.

    Raises:
        ModelError: It is not here, or was altered.
    """
    if name == LPIPS:
        perceptual.lpips_weights()
        return {
            "directory": perceptual.lpips_path().parent,
            "name": LPIPS,
            "use": "metric",
            "sha256": perceptual.PINNED,
            "licence": perceptual.LICENCE,
            "source": perceptual.SOURCE,
        }
    if name == REAL_ESRGAN:
        real_esrgan.real_esrgan_weights()
        return {
            "directory": real_esrgan.real_esrgan_path().parent,
            "name": REAL_ESRGAN,
            "use": "upscaler",
            "sha256": real_esrgan.PINNED,
            "licence": real_esrgan.LICENCE,
            "source": real_esrgan.SOURCE,
        }
    prior_digest(name)
    directory = prior_directory(name)
    return {"directory": directory, **asdict(read_card(directory))}
