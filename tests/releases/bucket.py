"""Keeps, puts back and compares the content of a bucket."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow.parquet as pq

RECORDS: Final = ".deqir/"
UNREPEATABLE: Final = ("software", "device", "started_at", "finished_at")
"""Columns of the manifest for the machine and the hour, beside all columns with names in _seconds."""
TIMES: Final = ("seconds", "mean_seconds", "started_at", "finished_at")
"""Names of times in a summary."""

Object = tuple[bytes, dict[str, str]]
"""The bytes and the user metadata of an object."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket of an S3 server.

    Attributes:
        client: Of boto3.
        name: Of the bucket.
    """

    client: Any
    name: str

    def place(self, key: str) -> str:
        """Return the URL of a key or of a prefix."""
        return f"s3://{self.name}/{key}"

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, in order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))

    def objects(self, prefix: str) -> dict[str, Object]:
        """Return the objects below a prefix."""
        found = dict[str, Object]()
        for key in self.keys(prefix):
            answer = self.client.get_object(Bucket=self.name, Key=key)
            found[key] = answer["Body"].read(), answer["Metadata"]
        return found

    def put(self, key: str, data: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Store an object; plans know it by its tag, the MD5 of its bytes."""
        answer = self.client.put_object(Bucket=self.name, Key=key, Body=data, Metadata=dict(metadata or {}))
        assert answer["ETag"].strip('"') == hashlib.md5(data).hexdigest()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete some objects."""
        for key in keys:
            self.client.delete_object(Bucket=self.name, Key=key)

    def put_back(self, prefix: str, objects: Mapping[str, Object]) -> None:
        """Put back all objects below a prefix, and delete every other object there."""
        self.delete([key for key in self.keys(prefix) if key not in objects])
        for key, (data, metadata) in objects.items():
            self.put(key, data, metadata)

    def outputs(self, destination: str) -> dict[str, str]:
        """Return the SHA-256 of every output and of every sample in a destination, by key below it."""
        found = {key.removeprefix(destination): data for key, (data, _) in self.objects(destination).items()}
        kept = {key: data for key, data in found.items() if not key.startswith(RECORDS) or "/samples/" in key}
        return {key: hashlib.sha256(data).hexdigest() for key, data in kept.items()}

    def rows(self, destination: str) -> dict[str, list[Row]]:
        """Return the rows of every job in a destination, by job id; without columns of the machine and the hour."""
        found = dict[str, list[Row]]()
        for key, (data, _) in self.objects(f"{destination}{RECORDS}").items():
            job, _, name = key.removeprefix(f"{destination}{RECORDS}").partition("/")
            if name.startswith("manifest/"):
                found.setdefault(job, []).extend(
                    map(repeatable, pq.read_table(io.BytesIO(data)).to_pylist(maps_as_pydicts="strict"))
                )
        for rows in found.values():
            rows.sort(key=lambda row: (row["source_key"], row["source_etag"]))
        return found


def repeatable(row: Mapping[str, Any]) -> Row:
    """Return a row as JSON holds it, without columns of the machine and the hour."""
    kept = {name: value for name, value in row.items() if not (name in UNREPEATABLE or name.endswith("_seconds"))}
    again: Row = json.loads(json.dumps(kept))
    return again


def timeless(answer: Any) -> Any:
    """Return an answer in JSON without its times."""
    if isinstance(answer, dict):
        return {name: timeless(value) for name, value in answer.items() if name not in TIMES}
    return [timeless(each) for each in answer] if isinstance(answer, list) else answer
