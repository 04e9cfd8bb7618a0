"""Declare settings: a base class, and marks on fields for the command line, the form and a job's id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from .errors import ConfigurationError
from .store import PLACE, check_place

Mark = TypeVar("Mark")
Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The option of a field on the command line, beyond the field's name, type, default and text.

    Attributes:
        name: The option, such as "--format", or the argument, such as "SRC"; None: the field's
            name with dashes.
        metavar: Stands for the value in the help; None: the value's type.
        default: The default in words, such as "one for each GPU"; None: the default's value.
        section: Heading above the option; None: the model's `section`.
        advanced: Few users need it; it comes after all others.
        needs: Another field without which this field has no effect, and the values it must have; no values: any.
    """

    name: str | None = None
    metavar: str | None = None
    default: str | None = None
    section: str | None = None
    advanced: bool = False
    needs: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of a field, each with its default there.

    The field's own default is its value in all other tasks, which refuse any value for it.
    """

    defaults: Mapping[str, Any]

    def __str__(self) -> str:
        *others, last = self.defaults
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, slots=True)
class Before:
    """The value meant by all jobs before the field existed: a job with this value keeps its id."""

    value: Any


@dataclass(frozen=True, slots=True)
class IsPlace:
    """The field names a folder, a file or a part of a bucket."""


def marks(field: FieldInfo) -> Iterator[Any]:
    """Yield all annotations of a field, also those of a type within `... | None`."""
    yield from field.metadata
    for part in get_args(field.annotation):
        yield from getattr(part, "__metadata__", ())


def mark_of(field: FieldInfo, kind: type[Mark]) -> Mark | None:
    """Return a field's annotation of a class; None if it has none."""
    return next((each for each in marks(field) if isinstance(each, kind)), None)


def for_forms(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Make a model's schema a form: fields in the order of their declaration, each with its full text.

    Prefect's form sorts by `position`; without it, PostgreSQL's order of JSON shows, by the length of the names. A
    field of some tasks only has no default in the form, which leaves it empty for all other tasks.
    """
    for position, (name, shown) in enumerate(schema.get("properties", {}).items()):
        shown["position"] = position
        field = model.model_fields[name]
        if (tasks := mark_of(field, Tasks)) is not None:
            shown.pop("default", None)
        heading = f"For task {tasks}." if tasks else ""
        if field.description is not None:
            shown["description"] = "\n\n".join(filter(None, (heading, field.description, _empty(field))))


def _empty(field: FieldInfo) -> str:
    """Return the meaning of an empty field; empty for a field that always has a value."""
    has_value = mark_of(field, Tasks) is None and (field.is_required() or field.default is not None)
    return f"Empty: {text}." if not has_value and (text := default_text(field)) else ""


def default_text(field: FieldInfo) -> str:
    """Return a field's default in words; empty if there is none."""
    option, tasks = mark_of(field, Option) or Option(), mark_of(field, Tasks)
    if option.default is not None:
        return option.default
    if tasks is not None:
        first, *others = [(task, _shown(value)) for task, value in tasks.defaults.items()]
        differ = [f"{value} for {task}" for task, value in others if value != first[1]]
        return ", or ".join([first[1], *differ])
    return "" if field.is_required() or field.default_factory is not None else _shown(field.default)


def _shown(value: Any) -> str:
    """Return a default as a user writes it."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def identity_of_settings(settings: BaseModel) -> dict[str, Any]:
    """Return the settings that identify a job, as JSON, under their first names.

    A field with its `Before` value is left out. A renamed field has its former name as its serialization alias.
    """
    dump = settings.model_dump(mode="json", by_alias=True)
    for name, field in type(settings).model_fields.items():
        key, value = field.serialization_alias or name, getattr(settings, name)
        if isinstance(value, BaseModel):
            dump[key] = identity_of_settings(value)
        elif (before := mark_of(field, Before)) is not None and value == before.value:
            dump.pop(key, None)
    return dump


def as_before(settings: Settings) -> Settings | None:
    """Return settings with the value of before for each field with a `Before` mark.

    None if such a field has a value of its own, neither its default nor the value of before.
    """
    changes = dict[str, Any]()
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            changes[name] = as_before(value)
            if changes[name] is None:
                return None
        elif (before := mark_of(field, Before)) is not None:
            if value not in (before.value, field.default):
                return None
            changes[name] = before.value
    return settings.model_copy(update=changes)


class Model(BaseModel):
    """Base of all settings: fixed and described, with declared fields only.

    Attributes:
        section: Heading above the options of the fields.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # it may hold credentials
        json_schema_extra=for_forms,
        defer_build=True,  # help needs no validators
    )

    section: ClassVar[str] = ""


def named(place: str) -> str:
    """Return a place as it is.

    Raises:
        ValueError: It is empty, which would be taken for the current folder, or a URL of another kind; a URL may hold
            credentials, and is not repeated.
    """
    if not place.strip():
        raise ValueError("is empty: name a place; the current folder is .")
    try:
        check_place(place)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return place


Place = Annotated[str, AfterValidator(named), IsPlace(), Field(json_schema_extra={"pattern": PLACE})]
