"""`python -m flows.options.table > docs/options.md`: every option of `deqir restore`, from the fields of a job."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Any, Final

from pipeline.config import RestoreJob
from pipeline.fields import Model

from .fields import settings_of

HEAD: Final = """# Options

Every option of `deqir restore` and `deqir deploy`; `deqir retry` has the options of the work, `deqir degrade` the
options of the degradation. The form of a deployment has the same settings in the same order. Made by
`python -m flows.options.table > docs/options.md`.
"""
COLUMNS: Final = "| option | meaning | default | range |\n|---|---|---|---|"


def options_page() -> str:
    """Return docs/options.md."""
    return f"{HEAD}\n{table(RestoreJob)}"


def table(model: type[Model]) -> str:
    """Return the options of a model as Markdown: a heading and a table for each section."""
    settings = [setting for setting in settings_of(model) if not setting.is_argument]
    order = list(dict.fromkeys(setting.section for setting in settings))
    settings.sort(key=lambda each: order.index(each.section))
    parts = list[str]()
    for section, group in groupby(settings, key=lambda each: each.section):
        rows = list[str]()
        for setting in group:
            schema = setting.model.model_json_schema()
            cells = (
                f"`{setting.option}`",
                " ".join(setting.text.split()),
                setting.default,
                range_of(schema["properties"][setting.name], schema.get("$defs", {})),
            )
            rows.append("| " + " | ".join(cell.replace("|", "\\|") or "-" for cell in cells) + " |")
        parts.append("\n".join((f"## {section}\n", COLUMNS, *rows)))
    return "\n\n".join(parts) + "\n"


def range_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return the allowed values of a field in words: "0 to below 1 or auto"; empty for any text."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(filter(None, (range_of(choice, definitions) for choice in schema["anyOf"])))
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(schema["enum"])
    lows = {"minimum": "{}", "exclusiveMinimum": "above {}"}
    highs = {"maximum": "{}", "exclusiveMaximum": "below {}"}
    low = next((text.format(_number(schema[key])) for key, text in lows.items() if key in schema), "")
    high = next((text.format(_number(schema[key])) for key, text in highs.items() if key in schema), "")
    if low and not high:
        return low if "above" in low else f"at least {low}"
    return f"{low} to {high}" if low else high


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(options_page())
