"""What lies beside each image in another store, under the image's own key: its mask, its guide, its original."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import UNREADABLE, ImageError
from .keys import has_image_name
from .store import Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A file that belongs to one image.

    Attributes:
        place: Where it was read.
        data: Its bytes.
    """

    place: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Companions:
    """Files of one kind, one for each image.

    Attributes:
        name: What one is, such as "mask".
        fault: What an image fails of that has none that can be used.
        store: Where they are.
        keys: Their keys by key without extension.
        max_bytes: Largest file read.
    """

    name: str
    fault: type[ImageError]
    store: Store
    keys: Mapping[str, str]
    max_bytes: int

    @classmethod
    def open(cls, url: str, /, *, name: str, fault: type[ImageError], max_bytes: int) -> Companions:
        """Return those below a folder or a bucket's prefix, listed once.

        Raises:
            ConfigurationError: It cannot be listed.
        """
        store = open_store(url, writable=False)
        return cls(name=name, fault=fault, store=store, keys=index(store), max_bytes=max_bytes)

    def of(self, source_key: str) -> Companion:
        """Return an image's file.

        Raises:
            ImageError: As `fault`: it has none, or one that cannot be read.
        """
        key = companion(self.keys, source_key)
        if key is None:
            raise self.fault(
                f"{self.store.url} has no {self.name} for {source_key}: put one there under that key, then retry"
            )
        place = f"{self.store.url}/{key}"
        try:
            return Companion(place=place, data=self.store.get(key, limit=self.max_bytes))
        except UNREADABLE as error:
            reason = "it is gone" if isinstance(error, FileNotFoundError) else error
            raise self.fault(f"the {self.name} {place} cannot be used: {reason}") from error


def stem(key: str) -> str:
    """Return the key without its extension."""
    return posixpath.splitext(key)[0]


def index(store: Store) -> dict[str, str]:
    """Return all keys by key without extension; of several the first in order, one with an image's name if there is."""
    keys = sorted((info.key for info in store.list()), key=lambda key: (not has_image_name(key), key), reverse=True)
    return {stem(key): key for key in keys}


def companion(keys: Mapping[str, str], source_key: str) -> str | None:
    """Return the key of what belongs to a source, out of what `index` gave; None if there is nothing.

    Of photo.jpg that is photo.jpg.png, as `output_keys` names it where there is a photo.png, too, else photo.png.
    """
    return keys.get(source_key, keys.get(stem(source_key)))
