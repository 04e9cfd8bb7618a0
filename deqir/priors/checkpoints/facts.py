"""What a checkpoint does not say of itself, and what is to become of one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from deqir.priors.directory import PriorCard, ScheduleName
from deqir.priors.prior import PriorError

from .matching import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the user knows of a network; None: taken from the file, or from what is usual.

    Attributes:
        num_heads, num_head_channels: Of the attention of an ADM network; either says the other.
        use_new_attention_order: Its query, key and value are split before the heads.
        noise_schedule, diffusion_steps: That it was trained with.
        image_size: Side of the square images that it was trained on, in pixels.
        max_noise: Strongest noise a plain denoiser was trained for, as a standard deviation of images in [0, 1].

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
        """Raise PriorError if something is given that says nothing about networks of this kind."""
        given = [each.name for each in fields(self) if getattr(self, each.name) is not None]
        if idle := [name for name in given if name not in used]:
            raise PriorError(f"{' and '.join(idle)} mean nothing for a network of kind {kind}; leave them out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a checkpoint becomes a network of diffusers or ours.

    Attributes:
        kind: Of the checkpoint.
        card: Of the prior, without name, digest and source.
        origins: By parameter, where it comes from.
        config: Of UNet2DModel, where it is one.
        assumed: What was taken for granted because the file does not say it, in words.
    """

    kind: str
    card: PriorCard
    origins: Mapping[str, Origin]
    config: Mapping[str, Any] | None = None
    assumed: tuple[str, ...] = ()
