"""Where objects live: the four verbs, and the folder and the S3 bucket behind them."""

from __future__ import annotations

from pipeline.errors import ConfigurationError

from .folder import FolderStore
from .protocol import ObjectInfo, Store, StoredObject
from .urls import PLACE, check_place

__all__ = ["PLACE", "ObjectInfo", "Store", "StoredObject", "check_place", "open_store"]


def open_store(url: str, /, *, writable: bool) -> Store:
    """Return the store that a user named, after making sure that it answers.

    Args:
        url: A folder's path, or s3://bucket/prefix for the keys below "prefix/".
        writable: It is to be written to. A folder that is not there is then made; whether a bucket may be
            written to shows at the first write only.

    Raises:
        ConfigurationError: Not a place that we know; as StoreAccessError, one that refuses us.
        StoreUnavailableError: It does not answer.
    """
    check_place(url)
    if url.startswith("s3://"):
        from .s3 import S3Store  # boto3 takes a third of a second to import, and folders do without

        return S3Store.open(url)
    if not url:
        raise ConfigurationError("an empty place; give a folder's path or s3://bucket/prefix")
    return FolderStore.open(url, writable=writable)
