"""From the command line's options to a RestoreJob, with usage errors in the options' own names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigurationError

from .options import in_options, option_name

if TYPE_CHECKING:
    from pipeline.config import RestoreJob
    from pipeline.degradation import Degradation

Given = Mapping[str, Any]

PLACES = frozenset({"mask", "masks", "kernel_file", "guide"})
OWNERS = {
    "scale": ("sr", "old-photo"),
    "kernel": ("sr",),
    "blur": ("deblur",),
    "width": ("deblur",),
    "angle": ("deblur",),
    "kernel_file": ("deblur",),
    "mask": ("inpaint", "old-photo"),
    "masks": ("inpaint", "old-photo"),
    "grey": ("old-photo",),
}
"""The tasks that an option of a degradation belongs to."""


def restore_job(
    *, source: str, destination: str, reference: str | None, degradation: Given, result: Given, runtime: Given
) -> RestoreJob:
    """Return the job that the options describe; an option that is None was not given.

    Raises:
        ConfigurationError: Options that do not go together, or a value out of its range.
    """
    from pipeline.config import RestoreJob

    check_companions(degradation, result, runtime)
    settings = {
        "source": location(source, name="SRC"),
        "destination": location(destination, name="DST"),
        "reference": None if reference is None else location(reference, name="--reference"),
        "result": given(result)
        | noise_settings(result.get("noise"))
        | {"degradation": degradation_settings(degradation)},
        "runtime": given(runtime),
    }
    with option_errors():
        return RestoreJob.model_validate(settings)


def degradation_of(degradation: Given) -> Degradation:
    """Return the degradation that --task and the options of its panel describe.

    Raises:
        ConfigurationError: As for `restore_job`.
    """
    from pydantic import TypeAdapter

    from pipeline.degradation import Degradation

    check_companions(degradation, {}, {})
    with option_errors():
        checked: Degradation = TypeAdapter(Degradation).validate_python(degradation_settings(degradation))
    return checked


def degradation_settings(degradation: Given) -> dict[str, Any]:
    """Return what was given of a degradation; super-resolution if no task was."""
    return {"task": "sr"} | given(degradation)


def noise_settings(noise: str | None) -> dict[str, Any]:
    """Return what --noise says, as the configuration wants it.

    Raises:
        ConfigurationError: Neither a number in range nor "auto".
    """
    if noise is None or noise == "auto":
        return given({"noise": noise})
    with suppress(ValueError):
        if 0 <= float(noise) < 1:
            return {"noise": float(noise)}
    raise ConfigurationError(f"--noise {noise}: give a standard deviation from 0 to below 1, or auto")


def given(options: Given) -> dict[str, Any]:
    """Return the options that were given, places among them as `location` has them; the configuration knows the
    defaults of the others."""
    return {
        name: location(value, name=option_name([name])) if is_place(name, value) else value
        for name, value in options.items()
        if value is not None
    }


def is_place(name: str, value: Any) -> bool:
    """Return whether an option's value is a place, and not the name of a network or something else."""
    from pipeline.config import UPSCALER
    from pipeline.places import is_path

    if name == "prior":
        return is_path(value)
    return name in PLACES and (name, value) != ("guide", UPSCALER)


def location(text: str, *, name: str = "the place") -> str:
    """Return a URL as it is, and a local path as an absolute one: the same place in every process.

    Args:
        text: As the user wrote it.
        name: What the user calls it.

    Raises:
        ConfigurationError: Nothing was written, which would be taken for the current folder.
    """
    if not text.strip():
        raise ConfigurationError(f"{name} is empty: name a place; the current folder is .")
    return text if "://" in text else str(Path(text).expanduser().absolute())


def check_companions(degradation: Given, result: Given, runtime: Given) -> None:
    """Refuse options that nothing would read.

    Raises:
        ConfigurationError: An option was given without the one it needs.
    """
    task = degradation.get("task") or "sr"
    on_ray = runtime.get("executor") != "local"
    lossy = result.get("output_format") in ("jpeg", "webp")
    needs = (
        *(
            (option_name([name]), degradation.get(name), "--task " + " or ".join(tasks), task in tasks)
            for name, tasks in OWNERS.items()
        ),
        ("--angle", degradation.get("angle"), "--blur motion", degradation.get("blur") == "motion"),
        ("--guide-by", result.get("guide_by"), "--guide DIR", result.get("guide") is not None),
        ("--quality", result.get("quality"), "--format jpeg or webp", lossy),
        ("--actors", runtime.get("actors"), "--executor ray", on_ray),
        ("--ray-address", runtime.get("ray_address"), "--executor ray", on_ray),
    )
    for option, value, companion, present in needs:
        if value is not None and not present:
            raise ConfigurationError(f"{option} needs {companion}; leave {option} out or say {companion}")
    if task == "inpaint" and degradation.get("mask") is None and degradation.get("masks") is None:
        raise ConfigurationError(
            "--task inpaint needs --mask FILE, an image that is white where pixels are damaged, or --masks DIR with "
            "one for each image"
        )
    if (degradation.get("blur") == "file") != (degradation.get("kernel_file") is not None):
        raise ConfigurationError("--blur file and --kernel-file FILE need each other")


@contextmanager
def option_errors() -> Iterator[None]:
    """Turn what pydantic says into one line, such as "--steps 0: must be at least 1".

    Raises:
        ConfigurationError: A value is out of its range.
    """
    from pydantic import ValidationError

    from pipeline.fault_text import faults_of

    try:
        yield
    except ValidationError as error:
        lines = (fault.line(option_name(fault.path) if fault.path else "") for fault in faults_of(error))
        raise ConfigurationError(in_options("; ".join(lines))) from error
