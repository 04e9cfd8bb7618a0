"""Files beside each image in another store, under the image's own key: its mask, its guide, its original."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Final

from pipeline.errors import UNREADABLE, ConfigurationError, ImageError
from pipeline.keys import INTERNAL, escaped, has_image_name, is_resource_fork
from pipeline.store import Store, open_store

LOOKED_AT: Final = 20_000
"""Keys of each place compared before a job is planned: in S3 twenty requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A file of a single image, such as its mask: where it was read, and its bytes."""

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
        name: Kind of file, such as "mask".
        fault: Error of an image without a usable file.
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
        """Return the files below a folder or a bucket's prefix, listed once.

        Raises:
            ConfigurationError: It cannot be listed.
        """
        store = open_store(url, writable=False)
        return cls(name=name, fault=fault, store=store, keys=index(store), max_bytes=max_bytes)

    def of(self, source_key: str) -> Companion:
        """Return an image's file.

        Raises:
            ImageError: As `fault`: the image has no file, or an unreadable one.
        """
        key = companion(self.keys, source_key)
        if key is None:
            raise self.fault(
                f"{self.store.url} has no {self.name} for {source_key}: put one there under that key, then retry"
            )
        place = f"{self.store.url}/{key}"
        try:
            return Companion(place=place, data=self.store.get(key, limit=self.max_bytes).data)
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
    """Return the key of a source's file, out of the result of `index`; None if there is no file.

    For photo.jpg it is photo.jpg.png, as `output_keys` names it beside a photo.png, else photo.png.
    """
    return keys.get(source_key, keys.get(stem(source_key)))


def check_match(source: Store, beside: Store, *, name: str) -> None:
    """Check that some file belongs to some image, before every image fails for want of its file.

    Both places are listed side by side and no further than to the first match, which in two places with the same keys
    is among the first; and never beyond `LOOKED_AT` keys, as planning is to list a large source, and workers the rest.

    Args:
        source: The images.
        beside: The files for them.
        name: Name of `beside` in the configuration.

    Raises:
        ConfigurationError: There are images, and no file belongs to any of them. Larger places are not judged.
    """
    listings = source.list(), beside.list()
    images, files = dict[str, str](), dict[str, str]()  # keys by what they are compared by
    for image, file in zip_longest(*(islice(listing, LOOKED_AT) for listing in listings)):
        if image is not None and has_image_name(image.key) and not image.key.startswith(INTERNAL):
            images |= dict.fromkeys((image.key, stem(image.key)), image.key)
            if companion(files, image.key) is not None:
                return
        if file is not None and not file.key.startswith(INTERNAL) and not is_resource_fork(file.key):
            files[stem(file.key)] = file.key
            if stem(file.key) in images:
                return
    if not images or any(next(listing, None) is not None for listing in listings):
        return
    there = f"a key there is {escaped(min(files.values()))}" if files else "it holds no file"
    raise ConfigurationError(
        f"`{name}` {beside.url} has nothing for any image of {source.url}: {there}, an image's is "
        f"{escaped(min(images.values()))}; name a place where files have their images' keys, whatever the extension"
    )
