"""Turn pydantic's validation errors into messages for users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error in a setting, or in several settings together.

    Attributes:
        path: Names of the fields around the setting and its own, outermost first; () for several settings.
        value: Its value as text; None for several settings, and if the value cannot be shown.
        text: The error, such as "must be at least 2". Names of fields are in backticks.
    """

    path: tuple[str, ...]
    value: str | None
    text: str

    def line(self, name: str) -> str:
        """Return the error in a line, with the given name for the setting: "steps 0: must be at least 1"."""
        setting = " ".join(filter(None, (name, self.value)))
        return f"{setting}: {self.text}" if self.path else self.text


def faults_of(error: ValidationError) -> Iterator[Fault]:
    """Yield each wrong setting once, in the order of the settings."""
    for path, group in groupby(error.errors(), key=_path):
        found = list(group)
        value = found[0]["input"]
        yield Fault(
            path=path,
            value=_shown(value) if path and isinstance(value, str | int | float) and not _is_url(value) else None,
            text=" or ".join(_wrong(each) for each in found),
        )


def in_words(error: ValidationError) -> str:
    """Return all errors in a line: "result.steps 0: must be at least 1; destination: is missing"."""
    return "; ".join(fault.line(".".join(fault.path)) for fault in faults_of(error))


def _wrong(fault: ErrorDetails) -> str:
    """Return the error of a value in words, such as "must be at least 1"."""
    known = fault.get("ctx", {})
    match fault["type"]:
        case "greater_than_equal":
            return f"must be at least {_shown(known['ge'])}"
        case "greater_than":
            return f"must be above {_shown(known['gt'])}"
        case "less_than_equal":
            return f"must be at most {_shown(known['le'])}"
        case "less_than":
            return f"must be below {_shown(known['lt'])}"
        case "int_parsing" | "int_type" | "int_from_float":
            return "must be a whole number"
        case "float_parsing" | "float_type":
            return "must be a number"
        case "bool_parsing" | "bool_type":
            return "must be true or false"
        case "string_type":
            return "must be text"
        case "literal_error" | "enum":
            return f"must be {known['expected']}"
        case "model_type" | "dict_type":
            return "must be an object with settings"
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "there is no such setting"
        case "value_error":
            return str(known["error"])
    return fault["msg"]


def _path(fault: ErrorDetails) -> tuple[str, ...]:
    """Return the names of the fields around a setting and its own; () for several settings."""
    if fault["type"] == "value_error" and isinstance(fault["input"], dict):
        return ()
    return tuple(name for part in fault["loc"] if (name := str(part)).isidentifier())


def _is_url(value: object) -> bool:
    """True if a value is a URL: it may hold credentials, which no message may repeat."""
    return isinstance(value, str) and "://" in value


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
