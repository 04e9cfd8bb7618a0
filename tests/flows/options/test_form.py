"""The form of a deployment, as Prefect gets to know it: order, texts and choices."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from flows.flow.restore_archive import restore_archive
from pipeline.config import Degradation, RestoreJob, ResultConfig, RuntimeConfig
from pipeline.fields import Option, Tasks, mark_of

MODELS: tuple[type[BaseModel], ...] = (RestoreJob, ResultConfig, RuntimeConfig, Degradation)

HIDDEN = ("method", "grey")
"""Fields that only records of earlier versions set."""


def definition(model: type[BaseModel]) -> dict[str, Any]:
    """The part of the flow's schema that a form is made of."""
    found: dict[str, Any] = restore_archive.parameters.definitions[model.__name__]
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_fields_are_in_the_order_of_their_declaration_however_a_database_stores_them(model) -> None:
    stored = dict(sorted(definition(model)["properties"].items(), key=lambda item: (len(item[0]), item[0])))
    shown = [name for name in model.model_fields if name not in HIDDEN]
    assert sorted(stored, key=lambda name: stored[name]["position"]) == shown


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_advanced_fields_come_last(model) -> None:
    advanced = [(mark_of(field, Option) or Option()).advanced for field in model.model_fields.values()]
    assert advanced == sorted(advanced)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_says_what_it_means(model) -> None:
    for name, field in definition(model)["properties"].items():
        reference = field.get("$ref", "").rpartition("/")[2]
        described = restore_archive.parameters.definitions[reference] if reference else field
        assert described.get("description"), name


def test_the_task_is_a_choice_and_its_settings_are_plain_fields_that_start_empty() -> None:
    """A choice of models would be edited as JSON: Prefect's form cannot switch between them."""
    fields = definition(Degradation)["properties"]
    assert {"sr", "deblur", "inpaint", "old-photo"} < set(fields["task"]["enum"])
    for name, field in fields.items():
        tasks = mark_of(Degradation.model_fields[name], Tasks)
        assert tasks is None or (f"For task {tasks}." in field["description"] and "default" not in field)
        assert not any("$ref" in choice for choice in field.get("anyOf", []))
    assert "Empty: 1; 4 for sr." in fields["scale"]["description"]
