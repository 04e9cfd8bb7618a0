"""Batches hold equal shapes, lose nothing and hoard nothing; reading ahead is bounded and in order."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import batches
from pipeline.threads import map_ahead, threads


@given(shapes=st.lists(st.integers(0, 5), max_size=60), size=st.integers(1, 8))
def test_every_image_comes_once_in_a_batch_of_its_shape(shapes: list[int], size: int) -> None:
    images = list(enumerate(shapes))
    found = list(batches(images, shape=lambda image: image[1], size=size))
    assert sorted(image for batch in found for image in batch) == images
    assert all(1 <= len(batch) <= size and len({shape for _, shape in batch}) == 1 for batch in found)


@given(shapes=st.lists(st.integers(0, 50), max_size=60), size=st.integers(1, 8))
def test_few_images_wait_for_company(shapes: list[int], size: int) -> None:
    taken = 0

    def counted():
        nonlocal taken
        for image in enumerate(shapes):
            taken += 1
            yield image

    given_away = 0
    for batch in batches(counted(), shape=lambda image: image[1], size=size):
        assert taken - given_away <= 2 * size + 1
        given_away += len(batch)


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
