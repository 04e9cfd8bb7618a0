"""The needs of a job, checked before anything of it is written: places, a device, intact networks."""

from __future__ import annotations

import torch

import deqir
from deqir.engine.chain_start import span_of
from deqir.pretrained.lpips import LPIPS_WEIGHTS
from deqir.pretrained.real_esrgan import REAL_ESRGAN_WEIGHTS
from deqir.priors import prior_directory, read_card
from pipeline.config import UPSCALER, RestoreJob, ResultConfig, RuntimeConfig
from pipeline.errors import ConfigurationError
from pipeline.inputs.make_operator import make_operator
from pipeline.inputs.side_files import check_match
from pipeline.places import refuse_overlap
from pipeline.store import open_store
from pipeline.worker.build import devices_of, model_errors, settings_of


def check_places(job: RestoreJob) -> None:
    """Check that the absolute places a job reads exist, apart from its destination, and that no original is a guide.

    Raises:
        ConfigurationError: A place is missing, or overlaps another place.
        StoreUnavailableError: A store does not answer.
    """
    for name, url in {"source": job.source, **_beside(job)}.items():
        refuse_overlap(name, url, job.destination)
        open_store(url, writable=False)
    if job.reference is not None and job.result.guide == job.reference:
        raise ConfigurationError(
            "the guide is the reference: images must not be measured against the very images they are brought near to"
        )


def check_companions(job: RestoreJob) -> None:
    """Check that some masks, guides and originals belong to some images, as far as `check_match` looks.

    Raises:
        ConfigurationError: No file belongs to any image.
    """
    source = open_store(job.source, writable=False)
    for name, url in _beside(job).items():
        check_match(source, open_store(url, writable=False), name=name)


def _beside(job: RestoreJob) -> dict[str, str]:
    """Return the places of files for single images, by their names in the configuration."""
    places = {
        "reference": job.reference,
        "guide": job.result.guide_place,
        "masks": job.result.degradation.masks,
    }
    return {name: url for name, url in places.items() if url is not None}


def check_device(runtime: RuntimeConfig) -> None:
    """Raise ConfigurationError if the job insists on a GPU and there is none where it would run."""
    if not runtime.device.startswith("cuda"):
        return
    if runtime.executor == "ray":
        from pipeline.execution.ray.executor import RayExecutor  # takes a third of a second to import

        if not (cluster := RayExecutor(runtime)).is_local:
            cluster.check()
            return
    devices_of(runtime, torch.cuda.device_count())


def check_networks(result: ResultConfig) -> None:
    """Raise ConfigurationError if a network of the job, other than the prior, is missing or was altered."""
    with model_errors():
        if result.guide == UPSCALER:
            REAL_ESRGAN_WEIGHTS.read()
        if result.looks:
            LPIPS_WEIGHTS.read()


def check_start_noise(job: RestoreJob, file: bytes | None) -> None:
    """Check that the job's intact prior knows the noise of the start, and that the noise falls from there.

    Raises:
        ConfigurationError: The noise, set or the task's own, is too strong or too weak.
    """
    result, degradation = job.result, job.result.degradation
    marked = degradation.mask or degradation.masks
    operator = make_operator(
        degradation,
        keep=torch.eye(16, dtype=torch.bool) if marked else None,  # its gaps are wide: these ask for the most noise
        file=file,
        noise=result.noise_taken(job.method),
    )
    with model_errors():
        card = read_card(prior_directory(result.prior))
        settings = settings_of(job, operator)
        span = span_of(settings, operator, card, given=result.guide is not None)
        card.check_noise(span.noise)
    if span.steps > 1 and span.noise <= span.end:
        raise ConfigurationError(
            f"`end_noise` {span.end:g} must be below the noise of the start, which is {span.noise:.4g} here: choose a "
            "smaller `end_noise`, or set a larger `start_noise`"
        )


def prior_digest_of(prior: str) -> str:
    """Return the SHA-256 of a prior's weights.

    Raises:
        ConfigurationError: It is missing or incomplete.
    """
    with model_errors():
        return deqir.prior_digest(prior)
