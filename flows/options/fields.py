"""The fields of a job as options of the command line: names, help and defaults, all from their declarations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic.fields import FieldInfo

from pipeline.config import RestoreJob
from pipeline.fields import IsPlace, Model, Option, Tasks, default_text, mark_of

NOT_OPTIONS: Final[Mapping[str, str]] = {
    "retry": "the command `deqir retry` sets it",
    "method": "each version has its own; a job begun by an earlier version keeps that one",
    "grey": "jobs of version 0.1 have it; `colour` took its place",
    "key_list": "`deqir watch` sets it, for each of its runs",
}
"""The fields of a job without an option, and why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a model, or of a model within it, as an option.

    Attributes:
        path: Names of fields from the outermost model to this field.
        field: Its declaration.
        model: The model with the declaration.
    """

    path: tuple[str, ...]
    field: FieldInfo
    model: type[Model]

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def mark(self) -> Option:
        return mark_of(self.field, Option) or Option()

    @property
    def tasks(self) -> Tasks | None:
        return mark_of(self.field, Tasks)

    @property
    def is_place(self) -> bool:
        return mark_of(self.field, IsPlace) is not None

    @property
    def option(self) -> str:
        """The option or argument as the command line declares it: "--steps", "SRC"."""
        return self.mark.name or "--" + self.name.replace("_", "-")

    @property
    def is_argument(self) -> bool:
        return not self.option.startswith("-")

    @property
    def section(self) -> str:
        """The heading above the option."""
        section = self.mark.section or self.model.section
        return f"Advanced: {section[:1].lower()}{section[1:]}" if self.mark.advanced else section

    @property
    def help(self) -> str:
        """The first paragraph of the field's text."""
        return self.text.partition("\n\n")[0]

    @property
    def text(self) -> str:
        """The field's text after its tasks, one line a paragraph, with options in place of fields."""
        paragraphs = (self.field.description or "").split("\n\n")
        text = in_options("\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs))
        return f"{', '.join(self.tasks.defaults)}: {text[:1].lower()}{text[1:]}" if self.tasks else text

    @property
    def default(self) -> str:
        """The default in words; empty if there is none."""
        return default_text(self.field)

    @property
    def needs(self) -> tuple[str, tuple[str, ...]] | None:
        """Another field without which this field has no effect, and the values it must have; no values: any."""
        return self.mark.needs or (("task", tuple(self.tasks.defaults)) if self.tasks else None)


def settings_of(model: type[Model], path: tuple[str, ...] = ()) -> list[Setting]:
    """Return the options of a model: arguments first, advanced options last."""
    return sorted(_settings(model, path), key=lambda each: (not each.is_argument, each.mark.advanced))


def _settings(model: type[Model], path: tuple[str, ...]) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Model):
            yield from _settings(field.annotation, (*path, name))
        elif name not in NOT_OPTIONS:
            yield Setting((*path, name), field, model)


def option_name(field: str) -> str:
    """Return the option or argument of a field."""
    return OPTIONS.get(field) or "--" + field.replace("_", "-")


def in_options(text: str) -> str:
    """Return a message with options of the command line in place of fields in backticks."""
    return NAMED.sub(lambda found: option_name(found[1]), text)


OPTIONS: Final = {each.name: each.option.partition("/")[0] for each in _settings(RestoreJob, ())}
NAMED: Final = re.compile(f"`({'|'.join(OPTIONS)})`")
