"""The one name of each place that a user names, and which places must lie apart."""

from __future__ import annotations

from pathlib import Path

from .config import RestoreJob
from .errors import ConfigurationError


def with_places(job: RestoreJob) -> RestoreJob:
    """Return the job with its places named in the one way that holds in every process: absolute, no links."""
    places = {"source": place(job.source), "destination": place(job.destination)}
    if job.reference is not None:
        places["reference"] = place(job.reference)
    if job.key_list is not None:
        places["key_list"] = place(job.key_list)
    result = job.result
    told = {
        name: place(value)
        for name in ("mask", "masks", "kernel_file")
        if (value := getattr(result.degradation, name)) is not None
    }
    result = result.model_copy(update={"degradation": result.degradation.model_copy(update=told)})
    if result.guide_place is not None:
        result = result.model_copy(update={"guide": place(result.guide_place)})
    if is_path(result.prior):
        result = result.model_copy(update={"prior": place(result.prior)})
    return job.model_copy(update={**places, "result": result})


def place(url: str) -> str:
    """Return the one name of a folder or of a bucket's prefix.

    Other schemes pass as they are: `open_store` refuses them by name.
    """
    return url.rstrip("/") if "://" in url else str(Path(url).expanduser().resolve())


def is_path(prior: str) -> bool:
    """Return whether a prior is a path, and not a name."""
    return "/" in prior or prior.startswith(".")


def refuse_overlap(name: str, place: str, destination: str) -> None:
    """Raise ConfigurationError if one of two places lies in the other: outputs would become inputs."""
    inner, outer = f"{place.rstrip('/')}/", f"{destination.rstrip('/')}/"
    if inner.startswith(outer) or outer.startswith(inner):
        raise ConfigurationError(
            f"the destination {destination} and the {name} {place} must lie apart, but one contains the "
            "other: choose another destination"
        )
