"""Settings of a restoration: a RestoreJob, made of a ResultConfig, which decides the pixels, and a RuntimeConfig.

Each option is declared here, once: the command line, the form of a deployment, docs/options.md and the words of errors
are made of the fields. The first paragraph of a field's text is its help on the command line.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from deqir.defaults import BUNDLED, METHOD_VERSION, Defaults, Favour, Mode, SurrogateName, check_overlap
from deqir.pretrained.pins import REAL_ESRGAN, REAL_ESRGAN_SHA256

from .degradation import DEGRADED, Degradation, is_framed, usual_noise
from .fields import Before, Model, Option, Place, identity_of_settings

UPSCALER: Final = REAL_ESRGAN
"""The guide that is made, not read."""
RESTORED: Final = "How they are restored (decides the pixels)"
WRITTEN: Final = "Output files"
RUN: Final = "How the work is done (changes no pixel)"


OnDoubt = Literal["aside", "write", "fail"]


class OutputFormat(StrEnum):
    """File format of the restored images."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


class ResultConfig(Model):
    """Settings that decide the pixels. Other values make another job, which overwrites no result of an earlier one: it
    needs another destination."""

    section: ClassVar[str] = RESTORED

    degradation: Degradation = Field(default_factory=Degradation)
    """How the images were degraded."""
    noise: Annotated[
        Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] | None,
        Option(metavar="NUMBER|auto", default="none; auto for denoise and deblur", section=DEGRADED),
    ] = None
    """Noise in the images, as a standard deviation of images in [0, 1]; auto: estimated for each image.

    For deblur, the most that is likely, with the error of JPEG, is estimated. Up to a noise of 0.01, told or without a
    value, blurs of kind motion or file are undone without an assumption about the scene beyond an image's frame."""
    prior: Annotated[str, Option(metavar="NAME|DIR")] = BUNDLED
    """Network with knowledge of images: its name, such as bundled or bundled-large, or its folder.

    Both of these come with deqir; `deqir models list` shows others."""
    favour: Annotated[Favour, Before("balance")] = "balance"
    """Nearness to the originals (fidelity), richness of detail (detail), or a balance of both.

    Fidelity is smoother, and measures better in PSNR; detail looks sharper. Advanced options that are set to other values
    than their defaults stay as they are."""
    steps: int = Field(Defaults.STEPS, ge=1, le=1000)
    """Sampling steps T; at most 3 are taken where the prior makes the start, unless a gap is wide or `start_noise` is
    set.

    The time for an image grows with them. The prior bundled makes the start for most tasks; more steps would smooth
    it."""
    guide: Annotated[Place | None, Option(metavar="DIR")] = None
    """Images to start from: another program's results under the source's keys, in a folder or s3://bucket/prefix, or
    real-esrgan, for super-resolution; with `optimise` restorations also come nearer to them.

    Restorations agree with the source images nevertheless. A guide may have any image extension. real-esrgan enlarges
    each source image by that network, fetched with `deqir models fetch real-esrgan`. Never give the originals:
    results are measured against them."""
    guide_by: Annotated[Literal["pixels", "colour", "lpips"], Option(needs=("guide", ()))] = "pixels"
    """Nearness to a guide: by pixels, by colour alone, or, with `optimise`, as eyes see it (lpips).

    For colours alone a guide may be small and blurred. LPIPS is fetched with `deqir models fetch lpips`."""
    optimise: int = Field(0, ge=0, le=1000)
    """Steps to optimise the noise of each restoration, for nearness to its guide or, without a guide, for agreement
    with a noisy image.

    Each step costs about three restorations. 0: none."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the noise, together with each image's own content."""
    samples: Annotated[int, Option(section=WRITTEN)] = Field(1, ge=1, le=64)
    """Restorations of each image; further ones show which details are certain.

    They are kept with their mean and their spread in the destination, below .deqir/<job>/samples/, and cost as much as
    the first."""
    output_format: Annotated[OutputFormat, Option(name="--format", section=WRITTEN)] = OutputFormat.PNG
    """File format of the restored images. PNG loses nothing; JPEG and WebP are written at `quality`."""
    quality: Annotated[int, Option(section=WRITTEN, needs=("output_format", ("jpeg", "webp")))] = Field(
        95, ge=1, le=100
    )
    """Quality of JPEG and WebP."""
    tile: Annotated[
        int | None,
        Option(advanced=True, default="the prior's own size, if any; else whole images while memory lasts"),
    ] = Field(None, ge=16)
    """Side in pixels of the tiles in which the network sees an image.

    Its answers for tiles are blended at every step."""
    overlap: Annotated[int | None, Option(advanced=True, default="a quarter of a tile, at most 64")] = Field(None, ge=0)
    """Pixels that neighbouring tiles share, at most half a tile."""
    start_noise: Annotated[
        float | None,
        Option(
            advanced=True,
            default=f"the task's; {Defaults.MADE_NOISE:.2g} where the prior makes the start, "
            f"{Defaults.GIVEN_NOISE:.2g} with a guide",
        ),
    ] = Field(None, gt=0, le=10)
    """Noise added to the start, as a standard deviation of images in [0, 1].

    Less noise keeps more of a guide. Several steps need more than `end_noise`. Where a gap is wide, the start by the
    prior gets as much noise as a guide. A guide for its colour alone does not count as a guide here."""
    end_noise: Annotated[
        float,
        Option(
            advanced=True,
            default=f"{Defaults.END_NOISE:.3g}; always {Defaults.MADE_END:.2g} where the prior makes the start and at "
            f"most {Defaults.MADE_STEPS} steps are taken",
        ),
    ] = Field(Defaults.END_NOISE, gt=0, le=1)
    """Noise of the last step, as a standard deviation of images in [0, 1]; a grey level of 8 bits is 0.0039."""
    eta: Annotated[float, Option(advanced=True)] = Field(Defaults.ETA, ge=0, le=1)
    """Share of fresh noise in each step. 0: none. 1: all."""
    mode: Annotated[Mode, Option(advanced=True)] = "auto"
    """Order of the steps. auto: one after another on one device; on several as many at once as keep each busy.
    throughput: one step after another, batched over images. latency: all steps at once. paper: the published algorithm,
    for comparison."""
    surrogate: Annotated[SurrogateName, Option(advanced=True)] = "secant"
    """Stand-in for the Jacobian where steps are solved at once, as in latency mode; secant needs the fewest rounds."""
    tolerance: Annotated[float, Option(advanced=True)] = Field(Defaults.TOLERANCE, ge=0, lt=1)
    """Relative residual at which the parallel solve of an image stops."""
    max_rounds: Annotated[int | None, Option(advanced=True, default="as many as steps")] = Field(None, ge=1)
    """Rounds of the parallel solve before an image is finished step by step."""

    @model_validator(mode="after")
    def _check_aim(self) -> Self:
        task = self.degradation.task
        if task == "denoise" and self.noise == 0:
            raise ValueError("denoise needs noise in the images: leave `noise` out to have it estimated")
        if task == "auto" and self.guide is not None:
            raise ValueError("`guide` needs a told task: say which, such as `task` sr")
        if task == "auto" and self.optimise:
            raise ValueError("`optimise` needs a told task: say which, such as `task` denoise")
        if self.guide == UPSCALER and task != "sr":
            raise ValueError(f"`guide` {UPSCALER} is for task sr; a folder of that name is ./{UPSCALER}")
        if self.guide == UPSCALER and self.guide_by == "colour":
            raise ValueError(f"`guide_by` colour is for pictures of other origin: {UPSCALER} keeps the colours")
        if self.guide is not None and not self.optimise and self.guide_by == "lpips":
            raise ValueError("`guide_by` lpips needs `optimise`, the number of steps, such as 10")
        if self.optimise and is_framed(self.degradation, noise=self.noise):
            raise ValueError(
                "a restoration from a blur of kind motion or file is optimised only where the images are noisy: leave "
                "`optimise` out, or set `noise` to auto or above 0.01"
            )
        if self.optimise and self.guide is None and self.noise_taken(METHOD_VERSION) == 0:
            raise ValueError(
                "`optimise` needs a `guide`, or `noise` in the images: restorations agree with exact images already"
            )
        return self

    @model_validator(mode="after")
    def _check_chain(self) -> Self:
        if self.start_noise is not None and self.steps > 1 and self.start_noise <= self.end_noise:
            least = (math.floor(self.end_noise * 1000 + 1e-9) + 1) / 1000
            raise ValueError(
                f"`start_noise` {self.start_noise:g} must be above the noise of the last step, {self.end_noise:.4g}: "
                f"say {least:g} or more, or leave `start_noise` out"
            )
        return self

    def noise_taken(self, method: int) -> float | Literal["auto"]:
        """Return the assumed noise of the images: `noise`, or the usual noise of the task in this method."""
        return usual_noise(self.degradation, method=method) if self.noise is None else self.noise

    @property
    def upscaler_sha256(self) -> str | None:
        """Digest of the network for the guides; None if no network makes them."""
        return REAL_ESRGAN_SHA256 if self.guide == UPSCALER else None

    @property
    def looks(self) -> bool:
        """True if LPIPS measures how near restorations are to their guides."""
        return self.optimise > 0 and self.guide is not None and self.guide_by == "lpips"

    @property
    def guide_place(self) -> str | None:
        """Folder or prefix of the guides; None if there are none to read."""
        return None if self.guide == UPSCALER else self.guide

    @field_validator("overlap")
    @classmethod
    def _fits_the_tile(cls, overlap: int | None, info: ValidationInfo) -> int | None:
        check_overlap(info.data.get("tile"), overlap)
        return overlap


class RuntimeConfig(Model):
    """Settings of the work itself; they change no pixel beyond the stated tolerance."""

    section: ClassVar[str] = RUN

    executor: Literal["ray", "local"] = "ray"
    """ray: one actor for each GPU, or several on the CPU. local: all in this process."""
    device: Annotated[str, Option(metavar="auto|cpu|cuda|cuda:N")] = "auto"
    """Device of the network; auto: a GPU where there is one, else the CPU."""
    actors: Annotated[
        int | None, Option(default="one for each GPU, or one without GPUs", needs=("executor", ("ray",)))
    ] = Field(None, ge=1)
    """Number of Ray actors, the processes that restore images."""
    batch_size: Annotated[int | None, Option(default="1 on a CPU, measured on a GPU")] = Field(None, ge=1)
    """Images of one size in one call of the network."""
    shard_size: int = Field(64, ge=1, le=100_000)
    """Images in a shard, the unit of work and of commit."""
    max_minutes: Annotated[float | None, Option(default="no limit")] = Field(None, gt=0)
    """Longest time of a run, in minutes; the next run goes on from there."""
    max_pixels: int = Field(64_000_000, ge=1)
    """Most pixels of an image, read or made; larger ones fail."""
    max_bytes: Annotated[int, Option(default="268435456, which is 256 MiB")] = Field(256 * 2**20, ge=1)
    """Most bytes of an input file; larger ones fail."""
    on_doubt: Annotated[OnDoubt, Option(section=WRITTEN)] = "aside"
    """Where a restored image goes that is not trusted. aside: it is kept apart, and `deqir accept` delivers it. write:
    it is delivered. fail: it is not kept, and its row says why."""
    ray_address: Annotated[
        str | None,
        Option(advanced=True, metavar="HOST:PORT|auto", default="a new one for this job", needs=("executor", ("ray",))),
    ] = None
    """Address of an existing Ray cluster."""
    gpus_per_actor: Annotated[float, Option(advanced=True, needs=("executor", ("ray",)))] = Field(1.0, gt=0)
    """GPUs of each actor, where there are any; a fraction shares a GPU."""
    cpus_per_actor: Annotated[
        float | None, Option(advanced=True, default="an equal share of the machine", needs=("executor", ("ray",)))
    ] = Field(None, gt=0)
    """CPUs of each actor."""
    prefetch: Annotated[int, Option(advanced=True)] = Field(4, ge=1)
    """Images read and decoded ahead of the network."""
    writers: Annotated[
        int | None, Option(advanced=True, default="2 on a CPU, one for each thread of torch on a GPU")
    ] = Field(None, ge=1)
    """Threads that encode and write images."""
    attempts: Annotated[int, Option(advanced=True)] = Field(3, ge=1)
    """Tries of a shard before it is left for the next run."""

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, device: str) -> str:
        if re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", device) is None:
            raise ValueError("must be auto, cpu, cuda or cuda:N")
        return device

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        if self.executor == "ray" and ":" in self.device:
            raise ValueError(
                f"`device` {self.device} needs `executor` local, as Ray gives each actor its GPU: with ray, say cuda"
            )
        return self


class RestoreJob(Model):
    """One restoration of one archive."""

    source: Annotated[Place, Option(name="SRC")]
    """Degraded images: a folder or s3://bucket/prefix. Never written to."""
    destination: Annotated[Place, Option(name="DST")]
    """Restored images and manifest: a folder or s3://bucket/prefix outside the source."""
    result: ResultConfig = Field(default_factory=ResultConfig)
    reference: Annotated[Place | None, Option(metavar="DIR", section=WRITTEN)] = None
    """Original images to measure against, under the source's keys, with any image extension; never used to
    restore."""
    retry: bool = False
    """Retry only: the images that failed or were in conflict in earlier runs of this job, or whose outputs are gone."""
    runtime: RuntimeConfig = Field(default_factory=RuntimeConfig)
    method: Annotated[SkipJsonSchema[int], Field(ge=1, le=METHOD_VERSION, exclude=True)] = METHOD_VERSION
    """Number of the method. Jobs begun by an earlier version keep theirs, and their pixels."""
    key_list: Place | None = None
    """Restore only the keys of the source listed in this object, one JSON string a line. Empty: all. A path or an
    s3:// URL; deqir watch writes it for each batch of storage events."""

    def job_id(self, *, prior_digest: str, file_digest: str | None = None) -> str:
        """Return the digest of source, destination, method and `result`, 16 hex digits.

        Guides and masks of each image count by their place alone: the manifest has the digests of their files.
        """
        identity: dict[str, Any] = {
            "source": self.source,
            "destination": self.destination,
            "result": identity_of_settings(self.result),
            "prior": prior_digest,
            "file": file_digest,
        }
        if self.result.upscaler_sha256 is not None:
            identity["upscaler"] = self.result.upscaler_sha256
        if self.method != 1:  # jobs of the first method have ids without it
            identity["method"] = self.method
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
