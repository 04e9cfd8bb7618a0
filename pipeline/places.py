"""Give each place of a job (a folder or a bucket's prefix) a canonical name, and refuse overlapping places."""

from __future__ import annotations

from pathlib import Path

from .config import RestoreJob
from .errors import ConfigurationError


def with_places(job: RestoreJob) -> RestoreJob:
    """Return the job with canonical names of its places, valid in every process: absolute, no links."""
    places = {"source": canonical_place(job.source), "destination": canonical_place(job.destination)}
    if job.reference is not None:
        places["reference"] = canonical_place(job.reference)
    if job.key_list is not None:
        places["key_list"] = canonical_place(job.key_list)
    result = job.result
    told = {
        name: canonical_place(value)
        for name in ("mask", "masks", "kernel_file")
        if (value := getattr(result.degradation, name)) is not None
    }
    result = result.model_copy(update={"degradation": result.degradation.model_copy(update=told)})
    if result.guide_place is not None:
        result = result.model_copy(update={"guide": canonical_place(result.guide_place)})
    if is_path(result.prior):
        result = result.model_copy(update={"prior": canonical_place(result.prior)})
    return job.model_copy(update={**places, "result": result})


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
