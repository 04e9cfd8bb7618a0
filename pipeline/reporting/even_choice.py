"""A bounded choice out of a stream of things, spread evenly over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Sample(Generic[T]):
    """All things while there are at most so many, later every second, every fourth ... of them.

    Attributes:
        most: Largest number kept; of a longer stream at least half this number is kept.
        chosen: The kept things, in their order.
    """

    most: int
    chosen: list[T] = field(default_factory=list)
    _step: int = 1
    _seen: int = 0

    def add(self, things: Iterable[T]) -> None:
        """Choose among further things."""
        for thing in things:
            if self._seen % self._step == 0:
                self.chosen.append(thing)
            self._seen += 1
            if len(self.chosen) > self.most:
                self.chosen = self.chosen[::2]
                self._step *= 2
