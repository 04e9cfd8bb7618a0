"""What was done to the images, as a user says it: one model for each task."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .errors import ConfigurationError
from .store import PLACE, check_place


def for_forms(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Make a model's schema one that Prefect shows as a form in the order of the fields, and that names the kinds.

    Its form sorts by `position`; without, PostgreSQL's order of JSON shows, by the length of the names. A choice of
    models is edited as JSON (its tabs, for an anyOf, cannot be switched), so the description lists what there is.
    """
    for position, (name, field) in enumerate(schema.get("properties", {}).items()):
        field["position"] = position
        if "discriminator" in field:
            kinds = [described(kind) for kind in get_args(model.model_fields[name].annotation)]
            field["description"] = "\n\n".join([f"{field['description']} As JSON, one of", *kinds])


def described(kind: type[BaseModel]) -> str:
    """Return the line of a list about a kind of degradation: its task, its parameters and what it means."""
    parameters = ", ".join(f"`{name}`" for name in kind.model_fields if name != "task")
    task = f"task `{kind.model_fields['task'].default}`" + (f" with {parameters}" if parameters else "")
    return f"- {task}: {' '.join((kind.__doc__ or '').split())}"


class Model(BaseModel):
    """What all settings have in common: they are fixed, complete and described."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # it may hold credentials
        json_schema_extra=for_forms,
    )


def named(place: str) -> str:
    """Return a place as it is.

    Raises:
        ValueError: It is empty, which would be taken for the current folder, or a URL that is no place; that may hold
            credentials, and is not repeated.
    """
    if not place.strip():
        raise ValueError("is empty: name a place; the current folder is .")
    try:
        check_place(place)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return place


Place = Annotated[str, AfterValidator(named), Field(json_schema_extra={"pattern": PLACE})]


class SuperResolution(Model):
    """The source images are smaller copies."""

    task: Literal["sr"] = "sr"
    scale: int = Field(4, ge=2, le=16)
    """Enlarge each side by this integer factor."""
    kernel: Literal["average", "bicubic"] = "average"
    """How they were made smaller. average: each pixel is the mean of a block (box filter). bicubic: the antialiased
    cubic filter of most software."""


class Deblurring(Model):
    """The source images are blurred, all in the same way."""

    task: Literal["deblur"] = "deblur"
    blur: Literal["gaussian", "uniform", "motion", "file"] = "gaussian"
    """gaussian: out of focus, softly. uniform: a square box. motion: along a line. file: as an image shows."""
    width: float = Field(1.6, ge=0.3, le=64)
    """Of the blur, in pixels. gaussian: its standard deviation. uniform: the side of the box. motion: its length."""
    angle: float = Field(0.0, ge=-180, le=180)
    """motion: direction in degrees, counterclockwise from rightwards."""
    kernel_file: Place | None = None
    """file: an image of the blur, what became of a white point on black. A local path or an s3:// URL."""

    @model_validator(mode="after")
    def _check_file(self) -> Self:
        if (self.blur == "file") != (self.kernel_file is not None):
            raise ValueError("a blur of kind file needs its `kernel_file`, and no other kind has one")
        return self


class _Marked(Model):
    """Damaged pixels are marked: by one mask for all images, or by one for each.

    Attributes:
        mask: One mask for all.
        masks: One for each.
    """

    mask: Place | None = None
    """A mask image of the images' size: white where pixels are damaged and to be filled, black where they are
    kept. A local path or an s3:// URL."""
    masks: Place | None = None
    """A folder or s3://bucket/prefix with a mask for each image under the image's own key, whatever its extension."""


class Inpainting(_Marked):
    """The source images have damaged pixels, which a mask marks."""

    task: Literal["inpaint"] = "inpaint"

    @model_validator(mode="after")
    def _check_mask(self) -> Self:
        if (self.mask is None) == (self.masks is None):
            raise ValueError("inpaint needs `mask`, one for all images, or `masks`, with one for each, and not both")
        return self


class Colorization(Model):
    """The source images are grey; colour is to be found."""

    task: Literal["colorize"] = "colorize"


class Denoising(Model):
    """The source images are noisy and nothing else."""

    task: Literal["denoise"] = "denoise"


class OldPhotograph(_Marked):
    """The source images are scans of old photographs: grey, small, scratched, or several of these."""

    task: Literal["old-photo"] = "old-photo"
    grey: bool = True
    """Colour is lost too."""
    scale: int = Field(1, ge=1, le=16)
    """Enlarge each side by this integer factor; 1 keeps the size."""

    @model_validator(mode="after")
    def _check_damage(self) -> Self:
        if self.mask is not None and self.masks is not None:
            raise ValueError("old-photo takes `mask`, one for all images, or `masks`, with one for each, and not both")
        if not self.grey and self.scale == 1 and self.mask is None and self.masks is None:
            raise ValueError(
                "an old photograph that is neither grey nor small nor scratched needs no restoration: say `grey`, "
                "`scale`, `mask` or `masks`"
            )
        return self


Degradation = Annotated[
    SuperResolution | Deblurring | Inpainting | Colorization | Denoising | OldPhotograph, Field(discriminator="task")
]

ROUNDING: Final = 1 / 255 / 12**0.5
"""Noise of 8-bit pixels, as a standard deviation of images in [0, 1]."""

COMPRESSION: Final = 0.0025
"""Noise that stands for rounding and for some loss in compression: JPEG of quality 98 brings 0.004, of 92 0.007."""
FRAMED_NOISE: Final = 0.01
"""Most noise with which a blur is undone without an assumption about what lies beyond the frame."""


def usual_noise(degradation: Degradation) -> float | Literal["auto"]:
    """Return the noise that images of a task are taken to have where nothing is said of it.

    Rounding to 8 bits is noise as well, and so is what compression loses; both matter where the inverse of the
    degradation amplifies them.
    """
    if isinstance(degradation, Denoising):
        return "auto"
    if isinstance(degradation, Deblurring):
        return COMPRESSION if is_framed(degradation, noise=None) else ROUNDING
    return 0.0


def is_framed(degradation: Degradation, *, noise: float | Literal["auto"] | None) -> bool:
    """Return whether images are taken for what their frames show of wider blurred scenes, as a camera makes them.

    What undoes that stands little noise: with more, scenes are taken to consist of tiles of the image. Gaussian and
    uniform blurs have a mirror at the frame, which serves them about as well.
    """
    little = noise is None or (noise != "auto" and noise <= FRAMED_NOISE)
    return isinstance(degradation, Deblurring) and degradation.blur in ("motion", "file") and little


def scale_of(degradation: Degradation) -> int:
    """Return how many pixels of a restored image's side become one of the source's."""
    return degradation.scale if isinstance(degradation, SuperResolution | OldPhotograph) else 1
