"""Name endings of files that are no images, and their frequencies."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from pipeline.keys import has_image_name, is_resource_fork

MOST: Final = 5
FOLDER: Final = "folder marker"
RESOURCE_FORK: Final = "._*"
NO_ENDING: Final = "no ending"
OTHER: Final = "other"
_ENDING: Final = re.compile(r"\.[a-z0-9_+-]{1,10}")


def endings_of(keys: Iterable[str]) -> Counter[str]:
    """Return the count of each ending among keys without an image's name."""
    return Counter(ending_of(key) for key in keys if not has_image_name(key))


def ending_of(key: str) -> str:
    """Return the ending of a key in small letters, such as ".tif", or words for a key without an ending.

    The words after the last dot of "Mr. Smith at the sea" are no ending.
    """
    if key.endswith("/"):
        return FOLDER
    if is_resource_fork(key):
        return RESOURCE_FORK
    ending = posixpath.splitext(key)[1].lower()
    return ending if _ENDING.fullmatch(ending) else NO_ENDING


def most_frequent(endings: Counter[str]) -> dict[str, int]:
    """Return the counts of the most frequent endings, in this order, and the sum of all others."""
    ordered = sorted(endings.items(), key=lambda each: (-each[1], each[0]))
    others = sum(count for _, count in ordered[MOST:])
    return dict(ordered[:MOST]) | ({OTHER: others} if others else {})
