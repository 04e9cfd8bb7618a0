"""What files that are no images are called, in a few words: how often each ending of their names comes."""

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
    """Return how often each ending comes among those keys that are no images by their names."""
    return Counter(ending_of(key) for key in keys if not has_image_name(key))


def ending_of(key: str) -> str:
    """Return what a key ends in, in small letters: ".tif"; or in words why there is no such thing.

    What follows the last dot of "Mr. Smith at the sea" is no ending.
    """
    if key.endswith("/"):
        return FOLDER
    if is_resource_fork(key):
        return RESOURCE_FORK
    ending = posixpath.splitext(key)[1].lower()
    return ending if _ENDING.fullmatch(ending) else NO_ENDING


def most_frequent(endings: Counter[str]) -> dict[str, int]:
    """Return the most frequent endings, those first, and all others as one."""
    ordered = sorted(endings.items(), key=lambda each: (-each[1], each[0]))
    others = sum(count for _, count in ordered[MOST:])
    return dict(ordered[:MOST]) | ({OTHER: others} if others else {})
