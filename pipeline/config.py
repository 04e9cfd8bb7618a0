"""What a user asks for: a RestoreJob, made of what decides the pixels and what does not."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deqir.restore import Defaults


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SuperResolution(_Model):
    """The source images are smaller copies, each pixel the mean of a scale x scale block."""

    task: Literal["sr"] = "sr"
    scale: int = Field(4, ge=2, le=16)
    """Enlarge each side by this integer factor."""


class Inpainting(_Model):
    """The source images have damaged pixels, the same in every image, marked by a mask image."""

    task: Literal["inpaint"] = "inpaint"
    mask: str
    """A mask image of the images' size: white where pixels are damaged and to be filled, black where they are
    kept. A local path or an s3:// URL."""


class Colorization(_Model):
    """The source images are grey; colour is to be found."""

    task: Literal["colorize"] = "colorize"


Degradation = Annotated[SuperResolution | Inpainting | Colorization, Field(discriminator="task")]


class OutputFormat(StrEnum):
    """File format of the restored images."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


class ResultConfig(_Model):
    """Everything that decides the pixels; hashed into the job's identity."""

    degradation: Degradation = Field(default_factory=SuperResolution)
    """What was done to the images."""
    prior: str = "ffdnet"
    """Name of a fetched prior, or the path of a prior's directory."""
    steps: int = Field(Defaults.STEPS, ge=1, le=1000)
    """Sampling steps T."""
    eta: float = Field(Defaults.ETA, ge=0, le=1)
    """Share of fresh noise in each step: 0 none, 1 all."""
    start_noise: float | None = Field(None, gt=0, le=10)
    """Noise added to the start, as a standard deviation of images in [0, 1]; empty: the task's default."""
    end_noise: float = Field(Defaults.END_NOISE, gt=0, le=1)
    """Noise of the last step, as a standard deviation of images in [0, 1]."""
    mode: Literal["auto", "throughput", "latency", "paper"] = "auto"
    """auto: as fast as the device allows. throughput: one step after another, batched over images. latency: all
    steps at once. paper: the published algorithm, for comparison."""
    surrogate: Literal["eps", "data", "wiener", "secant"] = "secant"
    """How all steps at once are solved in latency mode; secant needs the fewest rounds."""
    tolerance: float = Field(Defaults.TOLERANCE, ge=0, lt=1)
    """Relative residual at which the parallel solve of an image stops."""
    max_rounds: int | None = Field(None, ge=1)
    """Rounds of the parallel solve before an image is finished step by step; empty: as many as steps."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the noise, together with each image's own content."""
    output_format: OutputFormat = OutputFormat.PNG
    """PNG loses nothing; JPEG and WebP are written at `quality`."""
    quality: int = Field(95, ge=1, le=100)
    """Quality of JPEG and WebP."""


class RuntimeConfig(_Model):
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
    """An existing Ray cluster ("auto" or ray://host:port); empty: a local one for this job."""
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
    """Longest that a run may take; what is done by then stays done, and the next run goes on. Empty: no limit."""
    max_bytes: int = Field(256 * 2**20, ge=1)
    """Largest input file read."""
    max_pixels: int = Field(64_000_000, ge=1)
    """Largest restored image, in pixels; larger ones become failed rows."""


class RestoreJob(_Model):
    """One restoration of one archive."""

    source: str
    """Degraded images: a folder or s3://bucket/prefix. Never written to."""
    destination: str
    """Restored images and manifest: a folder or s3://bucket/prefix outside the source."""
    reference: str | None = None
    """Original images to measure against, under the source's keys (any image extension): for tests only, never
    used to restore."""
    key_list: str | None = None
    """An object that lists keys of the source, one JSON string a line: only these are restored. Empty: everything in
    the source. A path or an s3:// URL; written by deqir watch for each batch of storage events."""
    retry: bool = False
    """Try again the images that failed or were in conflict in earlier runs of this job, and nothing else."""
    result: ResultConfig = Field(default_factory=ResultConfig)
    runtime: RuntimeConfig = Field(default_factory=RuntimeConfig)

    def job_id(self, *, prior_digest: str, mask_digest: str | None = None) -> str:
        """Digest of source, destination and everything that decides the pixels, 16 hex digits."""
        identity = {
            "source": self.source,
            "destination": self.destination,
            "result": self.result.model_dump(mode="json"),
            "prior": prior_digest,
            "mask": mask_digest,
        }
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
