"""Places seen without our stores: what is really there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.store import Store, open_store


class Place(Protocol):
    """A place that a test can fill and look into by itself."""

    @property
    def url(self) -> str: ...

    def put(self, key: str, data: bytes) -> None:
        """Write an object, over another if there is one."""

    def read_all(self) -> dict[str, bytes]:
        """Return every object by its key, whatever the store would hide."""


@dataclass(frozen=True, slots=True)
class FolderPlace:
    root: Path

    @property
    def url(self) -> str:
        return str(self.root)

    def put(self, key: str, data: bytes) -> None:
        path = os.path.join(os.fsencode(self.root), os.fsencode(key))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def read_all(self) -> dict[str, bytes]:
        paths = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}


@dataclass(frozen=True, slots=True)
class S3Place:
    client: Any
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data)

    def read_all(self) -> dict[str, bytes]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        bodies = {key: self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix(self.prefix): body for key, body in bodies.items()}


def race(url: str, key: str, names: list[str]) -> list[str]:
    """Create one object under each name in turn, through stores of this process; return the names that won."""
    store: Store = open_store(url, writable=True)
    return [name for name in names if store.create(key, name.encode())]
