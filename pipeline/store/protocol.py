"""The four storage verbs that the pipeline uses, and whether a key can be written at all."""

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
    """One object as read: its bytes and the info that came with them, in one answer."""

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
        """What the user named: an absolute folder path or s3://bucket/prefix. Holds no secret."""
        ...

    def list(self, prefix: str = "", *, depth: int | None = None) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in no particular order; an odd name never stops it.

        With a depth only keys of at most so many parts after the prefix, and nothing below them is looked at.
        """
        ...

    def get(self, key: str, /, *, limit: int) -> StoredObject:
        """The whole object, with the info of the very version that was read.

        Raises:
            FileNotFoundError: No such object.
            ImageTooLargeError: More than `limit` bytes; nothing more than that was read.
        """
        ...

    def create(self, key: str, data: bytes, /) -> bool:
        """Store a new object, whole or not at all, and never overwrite: True if it is ours, False if the key
        was taken by somebody else. Our own write whose answer was lost counts as ours.

        Raises:
            UnsafeKeyError: The key would leave the prefix, or the store cannot hold it.
            CommitStateUnknownError: The write was sent and nobody can say whether it was stored.
        """
        ...

    def check_new(self, key: str, /) -> None:
        """Raise UnsafeKeyError for a key that `create` would refuse whatever the object; nothing is written."""
        ...

    def head(self, key: str, /) -> ObjectInfo | None:
        """What `list` would say of one object; None if there is none."""
        ...
