"""From the command line's options to settings, with usage errors in the options' own names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.config import UPSCALER
from pipeline.errors import ConfigurationError
from pipeline.fault_text import faults_of
from pipeline.fields import Model
from pipeline.places import is_path

from .fields import Setting, in_options, option_name, settings_of
from .signature import Given

Checked = TypeVar("Checked", bound=Model)


def checked(model: type[Checked], given: Given) -> Checked:
    """Return a model with the given options, and with its own defaults for all others.

    Raises:
        ConfigurationError: Options contradict each other, or a value is out of its range.
    """
    settings = settings_of(model)
    check_needs(settings, given)
    with option_errors():
        return model.model_validate(nested(settings, given))


def nested(settings: Sequence[Setting], given: Given) -> dict[str, Any]:
    """Return the given options as fields of a model, with absolute places."""
    fields = dict[str, Any]()
    for setting in settings:
        value = given.get(setting.name)
        if value is None:
            continue
        model = fields
        for name in setting.path[:-1]:
            model = model.setdefault(name, {})
        model[setting.name] = location(value, name=option_name(setting.name)) if is_place(setting, value) else value
    return fields


def is_place(setting: Setting, value: Any) -> bool:
    """True if an option's value is a place, and not the name of a network or something else."""
    if setting.name == "prior":
        return is_path(value)
    return setting.is_place and (setting.name, value) != ("guide", UPSCALER)


def location(text: str, *, name: str = "the place") -> str:
    """Return a URL as it is, and a local path as an absolute one: the same place in every process.

    Args:
        text: As the user wrote it.
        name: The user's name for it.

    Raises:
        ConfigurationError: The text is empty, which would be taken for the current folder.
    """
    if not text.strip():
        raise ConfigurationError(f"{name} is empty: name a place; the current folder is .")
    return text if "://" in text else str(Path(text).expanduser().absolute())


def check_needs(settings: Sequence[Setting], given: Given) -> None:
    """Refuse options without effect.

    Raises:
        ConfigurationError: An option was given without another that it needs.
    """
    by_name = {setting.name: setting for setting in settings}
    for setting in settings:
        if given.get(setting.name) is None or setting.needs is None:
            continue
        name, values = setting.needs
        needed, value = by_name[name], given.get(name)
        present = needed.field.default if value is None else value
        if present is None or (values and present not in values):
            option, companion = option_name(setting.name), f"{option_name(name)} {wanted(needed, values)}"
            raise ConfigurationError(f"{option} needs {companion}; leave {option} out or say {companion}")


def wanted(needed: Setting, values: Sequence[str]) -> str:
    """Return the values of a needed option in words."""
    return " or ".join(values) or needed.mark.metavar or ""


@contextmanager
def option_errors() -> Iterator[None]:
    """Turn pydantic's errors into one line, such as "--steps 0: must be at least 1".

    Raises:
        ConfigurationError: A value is out of its range.
    """
    try:
        yield
    except ValidationError as error:
        lines = (fault.line(option_name(fault.path[-1]) if fault.path else "") for fault in faults_of(error))
        raise ConfigurationError(in_options("; ".join(lines))) from error


def changed(model: Checked, given: Given) -> Checked:
    """Return a copy of a model with the given options.

    Raises:
        ConfigurationError: A value is out of its range.
    """
    with option_errors():
        return type(model).model_validate(model.model_dump() | nested(settings_of(type(model)), given))
