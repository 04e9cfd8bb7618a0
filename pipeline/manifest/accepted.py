"""Records of accepted images: restorations that were set aside and that somebody has delivered since."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.keys import Layout
from pipeline.shards import Version
from pipeline.store import Store

from .parquet import Table
from .schema import map_objects


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRow:
    """The acceptance of one version of one input.

    Attributes:
        source_key, source_etag, output_key, output_sha256: As in its manifest row.
        accepted_by: Name of the person.
        accepted_at: In UTC.
    """

    source_key: str
    source_etag: str
    output_key: str
    output_sha256: str
    accepted_by: str
    accepted_at: datetime


ACCEPTED: Final = Table(AcceptedRow, "record of accepted images", version=1)


def record_accepted(store: Store, layout: Layout, rows: Sequence[AcceptedRow]) -> None:
    """Write a record of accepted images, named by their versions; the record of the first person stays."""
    versions = sorted((row.source_key, row.source_etag) for row in rows)
    name = hashlib.sha256("\n".join("\0".join(version) for version in versions).encode()).hexdigest()[:16]
    store.create(layout.acceptance(name), ACCEPTED.encode(rows))


def accepted_versions(store: Store, layout: Layout) -> set[Version]:
    """Return key and etag of the accepted images of a job.

    Raises:
        ConfigurationError: A record cannot be read; it is named.
    """
    keys = sorted(info.key for info in store.list(layout.acceptances))
    names = ("source_key", "source_etag")
    found = map_objects(store, keys, lambda data: ACCEPTED.decode_columns(data, names))
    return {(key, etag) for rows in found for key, etag in rows}
