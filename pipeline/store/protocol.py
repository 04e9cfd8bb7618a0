"""The pipeline's four storage verbs, and a check of new keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """One object as listed.

    Attributes:
        key: Key below the store's prefix, "/" between its parts; exactly as stored, however odd.
        size: Bytes.
        etag: Changes whenever the content does. S3: the ETag; folder: size and modification time in ns.
    """

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as it was read: its bytes and its info, from the same answer."""

    info: ObjectInfo
    data: bytes


class Store(Protocol):
    """A flat set of objects below one prefix. Every key is relative to it.

    Each verb raises `StoreAccessError` where the store refuses us (credentials, permission, missing bucket; as
    `ObjectAccessError` where it refuses this object) and `StoreUnavailableError` where it did not answer after
    bounded retries.
    """

    @property
    def url(self) -> str:
        """The user's place: an absolute folder path or s3://bucket/prefix. Holds no secret."""
        ...

    def list(self, prefix: str = "", *, depth: int | None = None) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in no particular order; an odd name never stops it.

        With a depth only keys of at most so many parts after the prefix, and nothing below them is looked at.
        """
        ...

    def get(self, key: str, /, *, limit: int) -> StoredObject:
        """The whole object, with the info of the same version.

        Raises:
            FileNotFoundError: No such object.
            ImageTooLargeError: More than `limit` bytes; no more than `limit` were read.
        """
        ...

    def create(self, key: str, data: bytes, /) -> bool:
        """Store a new object, whole or not at all, and never overwrite: True if it is ours, False if the key
        was taken by somebody else. Our own write whose answer was lost counts as ours.

        Raises:
            UnsafeKeyError: The key would leave the prefix, or the store cannot hold it.
            CommitStateUnknownError: The write was sent, and it is unknown if it was stored.
        """
        ...

    def check_new(self, key: str, /) -> None:
        """Raise UnsafeKeyError for a key refused by `create` for any object; nothing is written."""
        ...

    def head(self, key: str, /) -> ObjectInfo | None:
        """The info of an object, as in a listing; None if it is missing."""
        ...
