"""Lists of keys as objects: the inputs of a single run out of a whole source, one JSON string a line.

JSON, because a key may hold a line break, and because file names outside UTF-8 survive it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from pipeline.errors import ConfigurationError, ImageTooLargeError
from pipeline.keys import event_list
from pipeline.store import Store, read_object_at

MAX_LIST_BYTES: Final = 2**30


def write_key_list(destination: Store, batch_id: str, keys: Iterable[str], /) -> str:
    """Return where in a job's destination the list of a batch's keys is, after writing it unless it is there.

    The same batch always has the same keys.
    """
    key = event_list(batch_id)
    destination.create(key, "".join(f"{json.dumps(each)}\n" for each in keys).encode())
    return f"{destination.url}/{key}"


def read_key_list(place: str, /) -> tuple[str, ...]:
    """Return the different keys of a list, in order; `place` is a path or an s3:// URL.

    Raises:
        ConfigurationError: There is no list, or it is not one.
    """
    try:
        text = read_object_at(place, limit=MAX_LIST_BYTES)
    except (FileNotFoundError, ImageTooLargeError, ConfigurationError) as error:
        raise ConfigurationError(f"the list of keys {place} cannot be read: {error}") from error
    return tuple(sorted({_key(place, *line) for line in enumerate(text.splitlines(), 1) if line[1].strip()}))


def _key(place: str, number: int, line: bytes) -> str:
    try:
        key = json.loads(line)
    except ValueError:
        key = None
    if not isinstance(key, str):
        raise ConfigurationError(
            f'line {number} of the list of keys {place} is not a JSON string such as "album/photo.jpg"'
        )
    return key
