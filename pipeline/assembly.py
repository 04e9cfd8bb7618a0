"""A job's worker, built where it is to run: weights loaded once, stores opened there."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

import deqir
from deqir.protocols import LinearOperator

from . import config
from .config import RestoreJob
from .degradations import make_operator
from .delivery import Delivery
from .errors import ConfigurationError
from .intake import Limits
from .keys import Layout
from .reference import Reference, index
from .rows import JobFacts
from .solving import Solver
from .store import open_store
from .worker import ShardWorker


def make_worker(job: RestoreJob, layout: Layout, prior_digest: str) -> ShardWorker:
    """Return the worker of a job, its stores opened and its prior loaded here.

    Args:
        job: The job as it was opened.
        layout: Its keys.
        prior_digest: SHA-256 of the weights it was opened with.

    Raises:
        ConfigurationError: This machine cannot do the job: no such device, no prior, or another one.
    """
    source = open_store(job.source, writable=False)
    destination = open_store(job.destination, writable=True)
    limits = Limits(max_bytes=job.runtime.max_bytes, max_pixels=job.runtime.max_pixels)
    degradation = job.result.degradation
    needs_mask = isinstance(degradation, config.Inpainting)
    mask = destination.get(layout.mask(), limit=limits.max_bytes) if needs_mask else None  # the job's own copy
    operator = make_operator(degradation, mask)
    prior = load_prior(job, prior_digest)
    engine, on_gpu = make_engine(job, prior, operator), prior.device.type != "cpu"
    return ShardWorker(
        source=source,
        destination=destination,
        layout=layout,
        facts=facts_of(job, layout.job_id, prior, start_noise=engine.settings.start_noise_of(operator)),
        limits=limits,
        solver=Solver(engine=engine, operator=operator, seed=job.result.seed),
        delivery=Delivery(
            destination=destination,
            job_id=layout.job_id,
            output_format=job.result.output_format,
            quality=job.result.quality,
            reference=open_reference(job, limits),
            max_bytes=limits.max_bytes + 4 * limits.max_pixels,
        ),
        prefetch=job.runtime.prefetch,
        writers=max(2, torch.get_num_threads()) if on_gpu else 2,
    )


def load_prior(job: RestoreJob, digest: str) -> deqir.Prior:
    """Return the job's prior on this machine's device, after making sure that it is the one of `open_job`."""
    device = job.runtime.device
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigurationError(f"device={device} needs CUDA, which torch does not find here; say device=auto or cpu")
    try:
        prior = deqir.load_prior(job.result.prior, device=device)
    except deqir.PriorError as error:
        raise ConfigurationError(str(error)) from error
    if prior.digest != digest:
        raise ConfigurationError(
            f"prior {job.result.prior!r} has other weights here (SHA-256 {prior.digest[:16]}...) than where "
            f"the job was opened ({digest[:16]}...); put the same prior on every machine"
        )
    return prior


def make_engine(job: RestoreJob, prior: deqir.Prior, operator: LinearOperator) -> deqir.Engine:
    """Return the method with the job's settings."""
    result = job.result
    settings = deqir.Settings(
        steps=result.steps,
        eta=result.eta,
        start_noise=result.start_noise,
        end_noise=result.end_noise,
        mode=result.mode,
        surrogate=result.surrogate,
        tolerance=result.tolerance,
        max_rounds=result.max_rounds,
        denoiser_batch=job.runtime.batch_size,
    )
    try:
        prior.check_noise(settings.start_noise_of(operator))
    except deqir.PriorError as error:
        raise ConfigurationError(str(error)) from error
    return deqir.Engine(prior, settings)


def open_reference(job: RestoreJob, limits: Limits) -> Reference | None:
    """Return the originals, listed once, if the job has any."""
    if job.reference is None:
        return None
    store, degradation = open_store(job.reference, writable=False), job.result.degradation
    return Reference(
        store=store,
        keys=index(store),
        max_bytes=limits.max_bytes,
        max_pixels=limits.max_pixels,
        slack=degradation.scale - 1 if isinstance(degradation, config.SuperResolution) else 0,
    )


def facts_of(job: RestoreJob, job_id: str, prior: deqir.Prior, *, start_noise: float) -> JobFacts:
    """Return what every row of the job repeats."""
    result = job.result
    parameters = result.degradation.model_dump(mode="json", exclude={"task"})
    return JobFacts(
        job_id=job_id,
        task=result.degradation.task,
        operator_parameters={name: str(value) for name, value in parameters.items()},
        prior=prior.name,
        prior_digest=prior.digest,
        steps=result.steps,
        eta=result.eta,
        start_noise=start_noise,
        seed=result.seed,
        mode=result.mode,
        device=device_name(prior.device),
        dtype="float32",
        software={
            "deqir": deqir.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "pillow": version("pillow"),
        },
    )


def device_name(device: torch.device) -> str:
    """Return what the rows say of the device: "cpu", or "cuda:0 NVIDIA H100"."""
    if device.type != "cuda":
        return str(device)
    return f"{device} {torch.cuda.get_device_name(device)}"
