"""The form of a deployment, as Prefect gets to know it: order, texts and choices."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from flows.flow.restore_archive import restore_archive
from pipeline.config import Degradation, RestoreJob, ResultConfig, RuntimeConfig

TASKS: tuple[type[BaseModel], ...] = get_args(get_args(Degradation)[0])
MODELS: tuple[type[BaseModel], ...] = (RestoreJob, ResultConfig, RuntimeConfig, *TASKS)


def definition(model: type[BaseModel]) -> dict[str, Any]:
    """The part of the flow's schema that a form is made of."""
    found: dict[str, Any] = restore_archive.parameters.definitions[model.__name__]
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_fields_are_in_the_order_of_their_declaration_however_a_database_stores_them(model: type[BaseModel]) -> None:
    stored = dict(sorted(definition(model)["properties"].items(), key=lambda item: (len(item[0]), item[0])))
    assert sorted(stored, key=lambda name: stored[name]["position"]) == list(model.model_fields)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_says_what_it_means(model: type[BaseModel]) -> None:
    for name, field in definition(model)["properties"].items():
        reference = field.get("$ref", "").rpartition("/")[2]
        described = restore_archive.parameters.definitions[reference] if reference else field
        assert described.get("description") or name == "task", name


def test_the_field_for_the_task_lists_every_task_with_its_parameters() -> None:
    text = definition(ResultConfig)["properties"]["degradation"]["description"]
    for task in TASKS:
        (line,) = [line for line in text.splitlines() if f"task `{task.model_fields['task'].default}`" in line]
        assert all(f"`{name}`" in line for name in task.model_fields if name != "task")
