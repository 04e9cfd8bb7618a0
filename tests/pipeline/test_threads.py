"""Reading ahead is bounded and in order, and ends with its user."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline.threads import map_ahead, threads


def test_reading_ahead_keeps_the_order_and_its_bound() -> None:
    begun: list[int] = []

    def read(item: int) -> int:
        begun.append(item)
        time.sleep(0.001 * (item % 3))
        return item

    with threads(4, "read") as pool:
        for taken, item in enumerate(map_ahead(pool, read, range(30), ahead=3)):
            assert item == taken
            assert len(begun) <= taken + 4
    assert sorted(begun) == list(range(30))


def test_an_error_ends_the_threads_and_drops_what_had_not_begun() -> None:
    before = threading.active_count()
    begun: list[int] = []

    def read(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise OSError("gone")
        return item

    def run() -> None:
        with threads(1, "read") as pool:
            list(map_ahead(pool, read, range(1000), ahead=2))

    with pytest.raises(OSError, match="gone"):
        run()
    assert threading.active_count() == before
    assert len(begun) <= 5
