"""Rows of a manifest as a test wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_type_hints

from pipeline.keys import Layout
from pipeline.manifest.schema import SCHEMA, ManifestRow, read_columns
from pipeline.status import Status
from pipeline.store import Store, open_store

HINTS = get_type_hints(ManifestRow)
NOW = datetime(2026, 11, 5, 12, 30, 0, 123456, tzinfo=UTC)


def row(**values: Any) -> ManifestRow:
    """A row of an image that was skipped, but for `values`."""
    plain: dict[Any, Any] = {str: "x", int: 1, float: 0.5, datetime: NOW, dict[str, str]: {"scale": "4"}}
    needed = {field.name: plain[HINTS[field.name]] for field in fields(ManifestRow) if is_needed(field)}
    return ManifestRow(**needed | {"status": Status.SKIPPED} | values)


def is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


def read_rows(store: Store, layout: Layout) -> Iterator[ManifestRow]:
    """Every row of a job, part by part, in the order of the parts' keys."""
    columns = read_columns(store, layout, SCHEMA.names)
    return (ManifestRow(**dict(zip(SCHEMA.names, values, strict=True))) for values in columns)


def read_manifest(destination: str, job_id: str) -> list[ManifestRow]:
    """All rows of a job."""
    return list(read_rows(open_store(destination, writable=False), Layout(job_id)))
