"""What a user asks for: a RestoreJob, made of what decides the pixels and what does not."""

from __future__ import annotations

import hashlib
import json
import math
import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from deqir.pretrained.real_esrgan import REAL_ESRGAN_WEIGHTS
from deqir.priors import BUNDLED
from deqir.restore import Defaults
from deqir.settings import check_overlap

from .degradation import Degradation, Denoising, Model, Place, SuperResolution, is_framed, usual_noise

UPSCALER: Final = REAL_ESRGAN_WEIGHTS.name
"""The guide that is made, not read."""


class OutputFormat(StrEnum):
    """File format of the restored images."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


class ResultConfig(Model):
    """Everything that decides the pixels. Other values make another job, for which what earlier ones have written is in
    conflict: nothing is overwritten, so choose another destination, too."""

    degradation: Degradation = Field(default_factory=SuperResolution)
    """What was done to the images."""
    noise: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] | None = None
    """Noise in the images, as a standard deviation of images in [0, 1]; auto: estimated for each image. Empty: none,
    but for denoising (auto) and deblurring: that of 8-bit pixels, with some loss by compression where the blur is of
    kind motion or file. Of these, nothing is assumed of what lies beyond an image's frame up to a noise of 0.01."""
    prior: str = BUNDLED
    """bundled or bundled-large, which come with deqir, the name of another prior that is here, or the path of a prior's
    directory."""
    steps: int = Field(Defaults.STEPS, ge=1, le=1000)
    """Sampling steps T; the time an image takes grows with them. Where a prior makes the start, as bundled does for
    most tasks, no more than 3 are taken, unless `start_noise` is set or a gap is wide: more would smooth what it
    made."""
    eta: float = Field(Defaults.ETA, ge=0, le=1)
    """Share of fresh noise in each step: 0 none, 1 all."""
    start_noise: float | None = Field(None, gt=0, le=10)
    """Noise added to the start, as a standard deviation of images in [0, 1]; empty: the task's default, 0.024 for a
    start that the prior makes, or 0.063 for one with a wide gap and for a guide that is one by its pixels. Less noise
    keeps more of a guide; several steps need more than `end_noise`."""
    end_noise: float = Field(Defaults.END_NOISE, gt=0, le=1)
    """Noise of the last step, as a standard deviation of images in [0, 1]; a grey level of 8 bits is 0.0039. Where
    no more than 3 steps are taken from a start that the prior makes it is 0.0078, whatever is said here."""
    mode: Literal["auto", "throughput", "latency", "paper"] = "auto"
    """auto: as fast as the device allows. throughput: one step after another, batched over images. latency: all
    steps at once. paper: the published algorithm, for comparison."""
    surrogate: Literal["eps", "data", "wiener", "secant"] = "secant"
    """How all steps at once are solved in latency mode; secant needs the fewest rounds."""
    tolerance: float = Field(Defaults.TOLERANCE, ge=0, lt=1)
    """Relative residual at which the parallel solve of an image stops."""
    max_rounds: int | None = Field(None, ge=1)
    """Rounds of the parallel solve before an image is finished step by step; empty: as many as steps."""
    tile: int | None = Field(None, ge=16)
    """Side of the tiles in which the network sees an image, in pixels; their answers are blended at every step.
    Empty: the size that the prior is bound to, if any; else whole images, and tiles only where memory runs out."""
    overlap: int | None = Field(None, ge=0)
    """Pixels that neighbouring tiles share, at most half a tile; empty: a quarter of it, at most 64."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the noise, together with each image's own content."""
    optimise: int = Field(0, ge=0, le=1000)
    """Steps in which the noise of each restoration is optimised: for closeness to its guide, or, without guides, for
    agreement with a noisy image. Each step costs about three restorations. 0: not at all."""
    guide: Place | None = None
    """What restorations start from, and agree with the sources nevertheless; with `optimise` they are brought nearer to
    it. Another program's results: a folder or s3://bucket/prefix with an image for each source under its own key,
    whatever the extension; or real-esrgan, for super-resolution: what that network makes of each source (fetched with
    deqir models fetch real-esrgan). Never the originals to measure against."""
    guide_by: Literal["pixels", "colour", "lpips"] = "pixels"
    """In what a restoration is to be close to its guide: every pixel; colours alone, for which a guide may be small and
    blurred; or as eyes see it (LPIPS, fetched with deqir models fetch lpips; with `optimise` alone)."""
    samples: int = Field(1, ge=1, le=64)
    """Restorations of each image. Further ones show what is certain: they are kept with their mean and their spread in
    the destination, below .deqir/<job>/samples/, and cost as much as the first."""
    output_format: OutputFormat = OutputFormat.PNG
    """PNG loses nothing; JPEG and WebP are written at `quality`."""
    quality: int = Field(95, ge=1, le=100)
    """Quality of JPEG and WebP, 1 to 100."""

    @model_validator(mode="after")
    def _check_aim(self) -> Self:
        if isinstance(self.degradation, Denoising) and self.noise == 0:
            raise ValueError("denoise needs noise in the images: leave `noise` out to have it estimated")
        if self.guide == UPSCALER and not isinstance(self.degradation, SuperResolution):
            raise ValueError(f"`guide` {UPSCALER} is for task sr; a folder of that name is ./{UPSCALER}")
        if self.guide == UPSCALER and self.guide_by == "colour":
            raise ValueError(
                f"`guide_by` colour is for pictures of other origin: what {UPSCALER} makes has the colours"
            )
        if self.guide is not None and not self.optimise and self.guide_by == "lpips":
            raise ValueError("`guide_by` lpips needs `optimise`, the number of steps, such as 10")
        if self.optimise and is_framed(self.degradation, noise=self.noise):
            raise ValueError(
                "a restoration from a blur of kind motion or file is optimised only where the images are noisy: leave "
                "`optimise` out, or say that `noise` is auto or above 0.01"
            )
        if self.optimise and self.guide is None and self.noise_taken == 0:
            raise ValueError("`optimise` needs a `guide`, or `noise` in the images: exact ones are agreed with already")
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

    @property
    def noise_taken(self) -> float | Literal["auto"]:
        """What the images are taken to have: `noise`, or what is usual for the task."""
        return usual_noise(self.degradation) if self.noise is None else self.noise

    @property
    def upscaler_sha256(self) -> str | None:
        """Digest of the network that makes the guides, if one does."""
        return REAL_ESRGAN_WEIGHTS.sha256 if self.guide == UPSCALER else None

    @property
    def looks(self) -> bool:
        """Whether LPIPS measures how near restorations are to their guides."""
        return self.optimise > 0 and self.guide is not None and self.guide_by == "lpips"

    @property
    def guide_place(self) -> str | None:
        """Where guides are read, if they are."""
        return None if self.guide == UPSCALER else self.guide

    @field_validator("overlap")
    @classmethod
    def _fits_the_tile(cls, overlap: int | None, info: ValidationInfo) -> int | None:
        check_overlap(info.data.get("tile"), overlap)
        return overlap


class RuntimeConfig(Model):
    """How the work is done; changes no pixel beyond the stated tolerance."""

    executor: Literal["ray", "local"] = "ray"
    """ray: one actor for each GPU (or several on the CPU). local: in this process."""
    actors: int | None = Field(None, ge=1)
    """Ray actors; empty: one for each GPU, or one where there is none."""
    gpus_per_actor: float = Field(1.0, gt=0)
    """GPU share of an actor, where there are GPUs."""
    cpus_per_actor: float | None = Field(None, gt=0)
    """CPU share of an actor; empty: an equal share of the machine."""
    ray_address: str | None = None
    """An existing Ray cluster (host:port or "auto"); empty: a local one for this job."""
    shard_size: int = Field(64, ge=1, le=100_000)
    """Images in a shard, the unit of work and of commit."""
    batch_size: int | None = Field(None, ge=1)
    """Images of one size in one call of the network; empty: 1 on a CPU, measured on a GPU."""
    prefetch: int = Field(4, ge=1)
    """Images read and decoded ahead of the solver."""
    attempts: int = Field(3, ge=1)
    """Times a shard is tried before it is left for the next run."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    max_minutes: float | None = Field(None, gt=0)
    """Longest that a run may take, in minutes; what is done by then stays done, and the next run goes on. Empty: no
    limit."""
    max_bytes: int = Field(256 * 2**20, ge=1)
    """Largest input file, in bytes; larger ones fail."""
    max_pixels: int = Field(64_000_000, ge=1)
    """Largest restored image, in pixels; larger ones fail."""

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

    source: Place
    """Degraded images: a folder or s3://bucket/prefix. Never written to."""
    destination: Place
    """Restored images and manifest: a folder or s3://bucket/prefix outside the source."""
    reference: Place | None = None
    """Original images to measure against, under the source's keys (any image extension): for tests only, never
    used to restore."""
    key_list: Place | None = None
    """An object that lists keys of the source, one JSON string a line: only these are restored. Empty: everything in
    the source. A path or an s3:// URL; written by deqir watch for each batch of storage events."""
    retry: bool = False
    """Try again the images that failed or were in conflict in earlier runs of this job, or whose outputs are gone, and
    nothing else."""
    result: ResultConfig = Field(default_factory=ResultConfig)
    runtime: RuntimeConfig = Field(default_factory=RuntimeConfig)

    def job_id(self, *, prior_digest: str, file_digest: str | None = None) -> str:
        """Digest of source, destination and everything that decides the pixels, 16 hex digits.

        Of guides and masks of each image only their place counts: the manifest has the digests of their files.
        """
        identity = {
            "source": self.source,
            "destination": self.destination,
            "result": self.result.model_dump(mode="json"),
            "prior": prior_digest,
            "file": file_digest,
        }
        if self.result.upscaler_sha256 is not None:
            identity["upscaler"] = self.result.upscaler_sha256
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
