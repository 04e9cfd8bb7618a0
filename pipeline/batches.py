"""Images of one shape, gathered so that the network sees several at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(images: Iterable[T], *, shape: Callable[[T], Hashable], size: int) -> Iterator[list[T]]:
    """Yield every image once, in lists of at most `size` with equal `shape`.

    Full lists come at once. At most 2 * `size` images wait for company; then the longest list goes.
    """
    waiting: dict[Hashable, list[T]] = {}
    for image in images:
        group = waiting.setdefault(shape(image), [])
        group.append(image)
        if len(group) == size:
            yield waiting.pop(shape(image))
        elif sum(len(group) for group in waiting.values()) > 2 * size:
            yield waiting.pop(max(waiting, key=lambda shape: len(waiting[shape])))
    yield from waiting.values()
