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

from .fields import Model, Option, Place, Tasks, mark_of

DEGRADED: Final = "How the images were degraded"


class Degradation(Model):
    """A task and its settings. Fields of other tasks have a value without effect; no dump has them."""

    section: ClassVar[str] = DEGRADED

    task: Literal["auto", "sr", "deblur", "inpaint", "colorize", "denoise", "jpeg", "old-photo"] = "auto"
    """auto: find out for each image what it needs; an image that needs nothing is copied. sr: enlarge images. deblur:
    sharpen. inpaint: fill damaged pixels. colorize: give grey images colour. denoise: remove noise. jpeg: undo the
    losses of JPEG compression, as each file tells them. old-photo: restore scans of old photographs, which are grey,
    small, scratched, or several of these.

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
    grey: Annotated[bool, Tasks({"old-photo": True}), Option(name="--grey/--colour", default="grey")] = False
    """The images have lost their colour."""
    blur: Annotated[Literal["gaussian", "uniform", "motion", "file"], Tasks({"deblur": "gaussian"})] = "gaussian"
    """Kind of the blur, the same in all images. gaussian: out of focus, softly. uniform: a square box. motion: along a
    line. file: as `kernel_file` shows."""
    width: Annotated[float, Tasks({"deblur": 1.6})] = Field(1.6, ge=0.3, le=64)
    """Width of the blur in pixels. gaussian: its standard deviation. uniform: the side of the box. motion: its
    length."""
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
        if self.task == "old-photo" and not (self.grey or self.scale > 1 or self.mask or self.masks):
            raise ValueError(
                "an old photograph that is neither grey nor small nor scratched needs no restoration: give `grey`, "
                "`scale`, `mask` or `masks`"
            )
        return self

    @model_serializer(mode="wrap")
    def _of_the_task(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        others = {name for name, tasks in self._tasks().items() if self.task not in tasks.defaults}
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


def usual_noise(degradation: Degradation) -> float | Literal["auto"]:
    """Return the assumed noise of a task's images where the user gives none.

    Rounding to 8 bits is noise as well, and so is the loss by compression; both matter where the inverse of the
    degradation amplifies them.
    """
    if degradation.task in ("auto", "denoise"):
        return "auto"
    if degradation.task == "deblur":
        return COMPRESSION if is_framed(degradation, noise=None) else ROUNDING
    return 0.0


def is_framed(degradation: Degradation, *, noise: float | Literal["auto"] | None) -> bool:
    """True if each image is taken for the framed part of a wider blurred scene, as a camera makes it.

    The inverse of such a blur stands little noise: with more, scenes are taken to consist of tiles of the image.
    Gaussian and uniform blurs have a mirror at the frame, which serves them about as well.
    """
    little = noise is None or (noise != "auto" and noise <= FRAMED_NOISE)
    return degradation.task == "deblur" and degradation.blur in ("motion", "file") and little
