"""The identity of a job on this machine: weights and files are read, not only their names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pipeline.config import RestoreJob
from pipeline.inputs.make_operator import read_file

from .checks import prior_digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of a job.

    Attributes:
        job_id: Digest of all settings and files that decide the pixels, and of the places.
        prior_digest: SHA-256 of the prior's weights.
        file: The mask or the picture of a blur of the degradation, if it has one.
        file_digest: Its SHA-256.
    """

    job_id: str
    prior_digest: str
    file: bytes | None
    file_digest: str | None


def identity_of(job: RestoreJob) -> Identity:
    """Return the identity of a job.

    Args:
        job: With absolute places.

    Raises:
        ConfigurationError: The prior or the file is not here, or cannot be used.
    """
    prior_digest = prior_digest_of(job.result.prior)
    limits = job.runtime
    file = read_file(job.result.degradation, max_bytes=limits.max_bytes, max_pixels=limits.max_pixels)
    file_digest = hashlib.sha256(file).hexdigest() if file is not None else None
    return Identity(
        job_id=job.job_id(prior_digest=prior_digest, file_digest=file_digest),
        prior_digest=prior_digest,
        file=file,
        file_digest=file_digest,
    )
