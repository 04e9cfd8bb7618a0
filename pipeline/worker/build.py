"""A job's worker, built where it is to run: weights loaded once, stores opened there."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version

import torch

import deqir
from deqir.defaults import Defaults
from deqir.engine.chain_start import Span, span_of
from deqir.gradients.optimise import Optimisation
from deqir.pretrained.download import ModelError
from deqir.pretrained.lpips import load_lpips
from deqir.pretrained.real_esrgan import load_real_esrgan
from deqir.protocols import LinearOperator
from pipeline.config import UPSCALER, RestoreJob, ResultConfig, RuntimeConfig
from pipeline.errors import ConfigurationError, GuideError
from pipeline.inputs.guides import Guidance, Guides
from pipeline.inputs.job_operator import open_undoing
from pipeline.inputs.make_operator import file_of
from pipeline.inputs.reference import Reference
from pipeline.inputs.side_files import Companions, index
from pipeline.keys import Layout
from pipeline.manifest.schema import ManifestRow
from pipeline.status import Status
from pipeline.store import open_store

from .solve import Solver
from .worker import ShardWorker
from .write import Delivery


def make_worker(job: RestoreJob, layout: Layout, prior_digest: str) -> ShardWorker:
    """Return the worker of an opened job, its stores opened and its networks loaded here.

    Raises:
        ConfigurationError: This machine cannot do the job: the device or a network is missing, or the prior has another
            SHA-256 than `prior_digest`, that of the weights with which the job was opened.
    """
    source = open_store(job.source, writable=False)
    destination = open_store(job.destination, writable=True)
    limits = job.runtime
    degradation = job.result.degradation
    told = file_of(degradation) is not None
    file = destination.get(layout.file(), limit=limits.max_bytes).data if told else None  # the job's own copy
    undoing = open_undoing(degradation, file, noise=job.result.noise, limits=limits, method=job.method)
    prior = load_prior(job, prior_digest, devices_of(job.runtime, torch.cuda.device_count()))
    settings, on_gpu = settings_of(job, undoing.operator), prior.device.type != "cpu"
    span = span_of(settings, undoing.operator, prior, given=job.result.guide is not None)
    with model_errors():
        prior.check_noise(span.noise)
        upscaler = load_real_esrgan(device=prior.device) if job.result.guide == UPSCALER else None
    return ShardWorker(
        source=source,
        destination=destination,
        layout=layout,
        facts=facts_of(job, layout.job_id, prior, span),
        runtime=job.runtime,
        undoing=undoing,
        guides=open_guides(job),
        solver=Solver(
            engine=deqir.Engine(prior, settings),
            result=job.result,
            guidance=guidance_of(job.result, prior.device),
            upscaler=upscaler,
            staged=undoing.is_auto,
        ),
        delivery=Delivery(
            destination=destination,
            layout=layout,
            result=job.result,
            on_doubt="write" if job.method == 1 else job.runtime.on_doubt,
            reference=open_reference(job),
            max_bytes=limits.max_bytes + 4 * limits.max_pixels,
        ),
        writers=job.runtime.writers or (max(2, torch.get_num_threads()) if on_gpu else 2),
    )


def devices_of(runtime: RuntimeConfig, gpus: int) -> list[str]:
    """Return the devices of the network: every GPU of an actor with several GPUs of its own, else one device.

    Args:
        runtime: The job's.
        gpus: GPUs visible to this process; under Ray only the actor's own.

    Raises:
        ConfigurationError: The job needs a GPU and none is there.
    """
    device = runtime.device
    if device.startswith("cuda") and not gpus:
        raise ConfigurationError(
            f"`device` {device} needs a GPU with CUDA, and torch finds none on this machine: say auto or cpu, or look "
            "at the driver (nvidia-smi) and at torch, which has to be a build with CUDA"
        )
    if device.startswith("cuda:") and int(device.removeprefix("cuda:")) >= gpus:
        raise ConfigurationError(f"`device` {device} is not there: the last GPU of this machine is cuda:{gpus - 1}")
    own = min(int(runtime.gpus_per_actor), gpus)
    return [f"cuda:{n}" for n in range(own)] if own > 1 and device in ("auto", "cuda") else [device]


def load_prior(job: RestoreJob, digest: str, devices: Sequence[str]) -> deqir.Prior:
    """Return the job's prior on these devices, after a check of its digest against that of `open_job`."""
    with model_errors():
        priors = [deqir.load_prior(job.result.prior, device=device) for device in devices]
    prior = priors[0] if len(priors) == 1 else deqir.replicate(priors)
    if prior.digest != digest:
        raise ConfigurationError(
            f"prior {job.result.prior!r} has other weights here (SHA-256 {prior.digest[:16]}...) than where "
            f"the job was opened ({digest[:16]}...); put the same prior on every machine"
        )
    return prior


def settings_of(job: RestoreJob, operator: LinearOperator) -> deqir.Settings:
    """Return the job's settings as the method takes them."""
    result, first_method = job.result, job.method == 1
    # A guide for colours alone is far off in all else, as is what chains start from by themselves.
    far = result.guide is not None and result.guide_by == "colour" and result.start_noise is None
    return deqir.Settings(
        steps=result.steps,
        eta=result.eta,
        start_noise=operator.start_noise if far else result.start_noise,
        end_noise=result.end_noise,
        kappa=None if first_method else Defaults.KAPPA,
        within_range=not first_method,
        mode=result.mode,
        surrogate=result.surrogate,
        tolerance=result.tolerance,
        max_rounds=result.max_rounds,
        tile=result.tile,
        overlap=result.overlap,
        denoiser_batch=job.runtime.batch_size,
    )


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn a fault of a network into an error for the user to correct."""
    try:
        yield
    except ModelError as error:
        raise ConfigurationError(str(error)) from error


def open_guides(job: RestoreJob) -> Guides | None:
    """Return the guides, listed once; None if the job reads no guides."""
    if job.result.guide_place is None:
        return None
    return Guides(
        files=Companions.open(job.result.guide_place, name="guide", fault=GuideError, max_bytes=job.runtime.max_bytes),
        by=job.result.guide_by,
        max_pixels=job.runtime.max_pixels,
    )


def guidance_of(result: ResultConfig, device: torch.device) -> Guidance | None:
    """Return the optimisation of restorations; None if there is none.

    Raises:
        ConfigurationError: The network of LPIPS is missing on this machine.
    """
    if not result.optimise:
        return None
    with model_errors():
        lpips = load_lpips(device=str(device)) if result.looks else None
    return Guidance(settings=Optimisation(steps=result.optimise), by=result.guide_by, lpips=lpips)


def open_reference(job: RestoreJob) -> Reference | None:
    """Return the originals, listed once; None if the job has no reference."""
    if job.reference is None:
        return None
    store = open_store(job.reference, writable=False)
    return Reference(
        store=store,
        keys=index(store),
        max_bytes=job.runtime.max_bytes,
        max_pixels=job.runtime.max_pixels,
        slack=job.result.degradation.scale - 1,
    )


def facts_of(job: RestoreJob, job_id: str, prior: deqir.Prior, span: Span) -> ManifestRow:
    """Return the template of the job's rows: facts common to all rows, and no image."""
    result, now = job.result, datetime.now(UTC)
    parameters = result.degradation.model_dump(mode="json", exclude={"task"})
    return ManifestRow(
        job_id=job_id,
        shard_id="",
        source_key="",
        source_etag="",
        source_size=0,
        guide_sha256=result.upscaler_sha256,
        guide=result.guide,
        guide_by=None if result.guide is None else result.guide_by,
        status=Status.FAILED,
        task=result.degradation.task,
        operator_parameters={name: str(value) for name, value in parameters.items()},
        prior=prior.name,
        prior_digest=prior.digest,
        steps=span.steps,
        eta=result.eta,
        start_noise=span.noise,
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
        started_at=now,
        finished_at=now,
    )


def device_name(device: torch.device) -> str:
    """Return the name of a device in the rows: "cpu", or "cuda:0 NVIDIA H100"."""
    if device.type != "cuda":
        return str(device)
    return f"{device} {torch.cuda.get_device_name(device)}"
