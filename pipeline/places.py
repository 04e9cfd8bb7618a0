"""Give each place of a job (a folder or a bucket's prefix) a canonical name, and refuse overlapping places."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from .config import RestoreJob
from .errors import ConfigurationError
from .fields import Model

M = TypeVar("M", bound=Model)


def with_places(job: RestoreJob) -> RestoreJob:
    """Return the job with canonical names of its places, valid in every process: absolute, no links."""
    result = job.result
    named = {"guide": result.guide_place is not None, "prior": is_path(result.prior)}
    degradation = _absolute(result.degradation, ("mask", "masks", "kernel_file"))
    result = _absolute(result.model_copy(update={"degradation": degradation}), [name for name in named if named[name]])
    return _absolute(job.model_copy(update={"result": result}), ("source", "destination", "reference", "key_list"))


def _absolute(settings: M, names: Iterable[str]) -> M:
    """Return settings with canonical names of some of their places, as far as they are given."""
    given = {name: place for name in names if (place := getattr(settings, name)) is not None}
    return settings.model_copy(update={name: canonical_place(place) for name, place in given.items()})


def canonical_place(url: str) -> str:
    """Return the canonical name of a folder or of a bucket's prefix.

    URLs of other schemes are not changed: `open_store` refuses them by name.
    """
    return url.rstrip("/") if "://" in url else str(Path(url).expanduser().resolve())


def is_path(prior: str) -> bool:
    """True if a prior is given as a path, not by its name."""
    return "/" in prior or prior.startswith(".")


def refuse_overlap(name: str, place: str, destination: str) -> None:
    """Raise ConfigurationError if a place and the destination overlap: outputs would become inputs."""
    inner, outer = f"{place.rstrip('/')}/", f"{destination.rstrip('/')}/"
    if inner.startswith(outer) or outer.startswith(inner):
        raise ConfigurationError(
            f"the destination {destination} and the {name} {place} must lie apart, not one inside the other; "
            "choose another destination"
        )
