"""Settings of the degradation: a task, and the fields of each task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from .fields import Before, Model, Option, Place, Tasks, mark_of

DEGRADED: Final = "How the images were degraded"
USUAL_WIDTH: Final = 1.6
"""Width of a blur in pixels, where it does not matter: in records of blurs given by a file."""


class Degradation(Model):
    """A task and its settings. Fields of other tasks have a value without effect; no dump has them."""

    section: ClassVar[str] = DEGRADED

    task: Literal["auto", "sr", "deblur", "inpaint", "colorize", "denoise", "jpeg", "old-photo"] = "auto"
    """auto: find out for each image what it needs; an image that needs nothing is copied. sr: enlarge images. deblur:
    sharpen. inpaint: fill damaged pixels. colorize: give grey images colour. denoise: remove noise. jpeg: undo the
    losses of JPEG compression, as each file tells them. old-photo: restore scans of old photographs, which are small,
    scratched, noisy, or several of these; grey ones stay grey, sepia ones sepia, and coloured ones keep their colours.

    Each task has settings of its own, below; a setting of another task is refused."""
    scale: Annotated[int, Tasks({"auto": 1, "sr": 4, "old-photo": 1}), Option(default="1; 4 for sr")] = Field(
        1, le=16, json_schema_extra={"minimum": 1}
    )
    """Enlarge each side by this factor, from 2 for sr, else from 1. auto undoes all else before."""
    kernel: Annotated[
        Literal["average", "area", "bicubic", "lanczos", "nearest", "sharpened"], Tasks({"sr": "average"})
    ] = "average"
    """How the images were made smaller. average or area: each pixel is the mean of a block (box filter). bicubic,
    lanczos: by these filters, as most software has them. nearest: every n-th pixel was kept, so edges have steps.
    sharpened: bicubic, then sharpened (150 %, radius 1), so edges have bright rims."""
    mask: Annotated[Place | None, Tasks({"inpaint": None, "old-photo": None}), Option(metavar="FILE")] = None
    """One mask for all images: an image of their size, white where pixels are damaged, black elsewhere.

    A local path or an s3:// URL."""
    masks: Annotated[Place | None, Tasks({"inpaint": None, "old-photo": None}), Option(metavar="DIR")] = None
    """A mask for each image, under the image's own key, whatever its extension: a folder or s3://bucket/prefix."""
    colour: Annotated[Literal["keep", "yes"], Tasks({"old-photo": "keep"}), Before("keep")] = "keep"
    """keep: grey images stay grey, and tinted ones, such as sepia, keep their tint. yes: both are given colours, which
    are invented. Images in colour keep theirs either way."""
    grey: Annotated[SkipJsonSchema[bool | None], Tasks({"old-photo": None})] = None
    """Of jobs of version 0.1. True: all images are taken for grey and given colour. False: all are taken for
    coloured."""
    blur: Annotated[Literal["gaussian", "uniform", "motion", "file"], Tasks({"deblur": "gaussian"})] = "gaussian"
    """Kind of the blur, the same in all images. gaussian: out of focus, softly. uniform: a square box. motion: along a
    line. file: as `kernel_file` shows."""
    width: Annotated[
        Annotated[float, Field(ge=0.3, le=64)] | Literal["auto"] | None,
        Tasks({"deblur": None}),
        Option(metavar="PIXELS|auto", default="none: deblur needs it"),
    ] = None
    """Width of the blur in pixels. gaussian: its standard deviation. uniform: the side of the box. motion: its
    length. auto: estimated for each image, for blurs of kind gaussian.

    A width too large harms an image, one too small only helps less: an estimate is taken rather too narrow."""
    angle: Annotated[float, Tasks({"deblur": 0.0}), Option(needs=("blur", ("motion",)))] = Field(0.0, ge=-180, le=180)
    """Direction of a motion in degrees, counterclockwise from rightwards."""
    kernel_file: Annotated[Place | None, Tasks({"deblur": None}), Option(metavar="FILE")] = None
    """An image of the blur: how a white point on black looks after it.

    A local path or an s3:// URL."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Fill the fields of the task that are left out, or empty in a form."""
        if not isinstance(data, Mapping):
            return data
        given = {name: value for name, value in data.items() if value is not None}
        task = given.get("task", cls.model_fields["task"].default)
        defaults = {name: tasks.defaults.get(task) for name, tasks in cls._tasks().items()}
        if (task, given.get("blur")) == ("deblur", "file"):
            defaults["width"] = USUAL_WIDTH
        return {name: value for name, value in defaults.items() if value is not None} | given

    @field_validator("*", mode="before")
    @classmethod
    def _belongs(cls, value: Any, info: ValidationInfo) -> Any:
        tasks, task = cls._tasks().get(info.field_name or ""), info.data.get("task")
        if tasks is not None and task is not None and task not in tasks.defaults:
            raise ValueError(f"is for task {tasks}, not {task}: leave it out")
        return value

    @field_validator("kernel")
    @classmethod
    def _one_name(cls, kernel: str) -> str:
        """Return the name of a kernel in jobs; area is another name of average."""
        return "average" if kernel == "area" else kernel

    @field_validator("scale")
    @classmethod
    def _enlarges(cls, scale: int, info: ValidationInfo) -> int:
        if scale < (least := 2 if info.data.get("task") == "sr" else 1):
            raise ValueError(f"must be at least {least}")
        return scale

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if (self.blur == "file") != (self.kernel_file is not None):
            raise ValueError("`blur` file and `kernel_file` need each other")
        if self.mask is not None and self.masks is not None:
            raise ValueError("give `mask`, one for all images, or `masks`, with one for each image, and not both")
        if self.task == "inpaint" and self.mask is None and self.masks is None:
            raise ValueError(
                "`task` inpaint needs `mask`, an image with damaged pixels white, or `masks`, a folder "
                "with one for each image"
            )
        if self.task == "deblur" and self.width is None:
            raise ValueError(
                "`task` deblur needs `width`: say how wide the blur is in pixels, such as 1.6, or auto to have it "
                "estimated for each image"
            )
        if self.width == "auto" and self.blur != "gaussian":
            raise ValueError(f"`width` auto is for `blur` gaussian: say how wide the blur of kind {self.blur} is")
        if self.grey is not None and self.colour != "keep":
            raise ValueError("`colour` yes takes the place of `grey`: leave `grey` out")
        if self.grey is False and not (self.scale > 1 or self.mask or self.masks):
            raise ValueError("an old photograph that is neither grey nor small nor scratched needs no restoration")
        return self

    @model_serializer(mode="wrap")
    def _of_the_task(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        others = {name for name, tasks in self._tasks().items() if self.task not in tasks.defaults}
        if self.grey is None:
            others.add("grey")
        return {name: value for name, value in handler(self).items() if name not in others}

    @classmethod
    def _tasks(cls) -> dict[str, Tasks]:
        """Return the tasks of each field with a `Tasks` mark."""
        found = {name: mark_of(field, Tasks) for name, field in cls.model_fields.items()}
        return {name: tasks for name, tasks in found.items() if tasks is not None}


ROUNDING: Final = 1 / 255 / 12**0.5
"""Noise of 8-bit pixels, as a standard deviation of images in [0, 1]."""
COMPRESSION: Final = 0.0025
"""Noise equal to rounding and some loss in compression: JPEG of quality 98 brings 0.004, of 92 0.007."""
FRAMED_NOISE: Final = 0.01
"""Most noise with which a blur is undone without an assumption about the scene beyond the frame."""


def usual_noise(degradation: Degradation, *, method: int) -> float | Literal["auto"]:
    """Return the assumed noise of a task's images where the user gives none.

    Rounding to 8 bits is noise as well, and so is the loss by compression; both matter where the inverse of the
    degradation amplifies them. Since method 2, both are estimated for each image.
    """
    if degradation.task in ("auto", "denoise") or is_bare(degradation):
        return "auto"
    if degradation.task == "deblur":
        return "auto" if method > 1 else least_noise(degradation)
    return 0.0


def least_noise(degradation: Degradation) -> float:
    """Return the noise of a blurred image that shows none: rounding to 8 bits, or some loss by compression."""
    return COMPRESSION if is_framed(degradation, noise=None) else ROUNDING


def is_bare(degradation: Degradation) -> bool:
    """True if nothing but noise is to be removed from old photographs."""
    parts = degradation.colour == "yes" or degradation.grey or degradation.scale > 1
    return degradation.task == "old-photo" and not (parts or degradation.mask or degradation.masks)


def meanings_before(degradation: Degradation) -> tuple[Degradation, ...]:
    """Return the degradations of version 0.1 to which the same settings may belong.

    There, old photographs were taken for grey, or for coloured by an option that no longer exists, and images of which
    nothing was said were enlarged.
    """
    if degradation.task == "auto":
        scale = Degradation(task="sr").scale if degradation.scale == 1 else degradation.scale
        return (Degradation(task="sr", scale=scale),)
    if degradation.task != "old-photo" or degradation.grey is not None:
        return (degradation,)
    meant = [True] if is_bare(degradation) else [True, False]
    return tuple(degradation.model_copy(update={"grey": grey}) for grey in meant)


def is_framed(degradation: Degradation, *, noise: float | Literal["auto"] | None) -> bool:
    """True if each image is taken for the framed part of a wider blurred scene, as a camera makes it.

    The inverse of such a blur stands little noise: with more, scenes are taken to consist of tiles of the image.
    Gaussian and uniform blurs have a mirror at the frame, which serves them about as well.
    """
    little = noise is None or (noise != "auto" and noise <= FRAMED_NOISE)
    return degradation.task == "deblur" and degradation.blur in ("motion", "file") and little
