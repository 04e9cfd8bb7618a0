"""Storage of objects: the four verbs, and the folder and the S3 bucket behind them."""

from __future__ import annotations

from pipeline.errors import ConfigurationError

from .folder import FolderStore
from .protocol import ObjectInfo, Store, StoredObject
from .urls import PLACE, check_place

__all__ = ["PLACE", "ObjectInfo", "Store", "StoredObject", "check_place", "open_store", "read_object_at"]


def open_store(url: str, /, *, writable: bool) -> Store:
    """Return the store at a user's URL, after a check that it answers.

    Args:
        url: A folder's path, or s3://bucket/prefix for the keys below "prefix/".
        writable: True to write to it, too. A missing folder is then made; a bucket shows only
            at the first write if it can be written to.

    Raises:
        ConfigurationError: The URL is of no known kind; as StoreAccessError: the store refuses us.
        StoreUnavailableError: It does not answer.
    """
    check_place(url)
    if url.startswith("s3://"):
        from .s3 import S3Store  # boto3 takes a third of a second to import, and folders do without

        return S3Store.open(url)
    if not url:
        raise ConfigurationError("an empty place; give a folder's path or s3://bucket/prefix")
    return FolderStore.open(url, writable=writable)


def read_object_at(place: str, /, *, limit: int) -> bytes:
    """Return the bytes of the object at a path or an s3:// URL. Errors are those of `open_store` and `get`."""
    folder, slash, name = place.rpartition("/")
    return open_store(folder or slash or ".", writable=False).get(name, limit=limit).data
