"""Facts missing in a checkpoint, and the plan for its import."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from deqir.priors.directory import PriorCard, ScheduleName
from deqir.priors.prior import PriorError

from .matching import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts given by the user about a network; None: from the file, or the usual value.

    Attributes:
        num_heads, num_head_channels: Heads, or channels per head, in the attention of an ADM network; give only one.
        use_new_attention_order: Query, key and value of an ADM network are split before the heads.
        noise_schedule, diffusion_steps: Noise schedule and number of steps in training.
        image_size: Side of the square training images, in pixels.
        max_noise: Strongest noise in a plain denoiser's training, as a standard deviation of images in [0, 1].

    Raises:
        PriorError: A value is out of range, or two contradict each other.
    """

    num_heads: int | None = None
    num_head_channels: int | None = None
    use_new_attention_order: bool | None = None
    noise_schedule: ScheduleName | None = None
    diffusion_steps: int | None = None
    image_size: int | None = None
    max_noise: float | None = None

    def __post_init__(self) -> None:
        if self.num_heads is not None and self.num_head_channels is not None:
            raise PriorError("num_heads and num_head_channels say the same thing; give one of them")
        for name in ("num_heads", "num_head_channels", "diffusion_steps", "image_size", "max_noise"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise PriorError(f"{name} must be above 0, got {value}")

    def check(self, used: Collection[str], *, kind: str) -> None:
        """Raise PriorError if a given fact has no meaning for networks of this kind."""
        given = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        if idle := [name for name in given if name not in used]:
            raise PriorError(f"{' and '.join(idle)} mean nothing for a network of kind {kind}; leave them out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan for turning a checkpoint into a network of diffusers or deqir.

    Attributes:
        card: Card of the prior, without name, digest and source.
        config: Config of a UNet2DModel; None for other networks.
        assumed: Facts assumed because the file does not state them, in words.
    """

    kind: str
    card: PriorCard
    origins: Mapping[str, Origin]
    config: Mapping[str, Any] | None = None
    assumed: tuple[str, ...] = ()
