"""Colour among old photographs: kept where it is, one tint where it is sepia, and never invented unasked."""

from __future__ import annotations

import numpy as np
import pytest

from .archives import colours
from .runs import DELIVERED, End, blocks, restore

GREYED = 3.0
"""Mean range of the channels, in levels, of a picture without colour."""


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> dict[str, End]:
    return restore(tmp_path_factory.mktemp("colours"), colours(), task="old-photo", scale=2)


def ranges(pixels: np.ndarray) -> float:
    """Mean range of the channels in levels."""
    return float(np.ptp(pixels, axis=2).mean()) if pixels.ndim == 3 else 0.0


def test_all_of_them_are_delivered(old) -> None:
    assert {key: end.row.status in DELIVERED for key, end in old.items()} == dict.fromkeys(old, True)


def test_a_colour_photograph_keeps_its_colour(old) -> None:
    end = old["colour.png"]
    given, written = end.given, blocks(end.written, 2)
    assert ranges(written) == pytest.approx(ranges(given), rel=0.1)
    assert np.abs((written - written.mean(2, keepdims=True)) - (given - given.mean(2, keepdims=True))).mean() < 6


def test_a_sepia_photograph_stays_of_one_tint(old) -> None:
    end = old["sepia.png"]
    red, green, blue = end.written.reshape(-1, 3).T
    assert ranges(end.written) == pytest.approx(ranges(end.given), rel=0.2)
    for channel in (red, blue):
        slope, offset = np.polyfit(green, channel, 1)
        assert np.abs(channel - slope * green - offset).mean() < 3


def test_a_grey_photograph_stays_grey(old) -> None:
    assert ranges(old["grey.png"].written) < GREYED


@pytest.mark.parametrize("settings", [{"task": "colorize"}, {"task": "old-photo", "colour": "yes"}])
def test_colour_is_invented_where_it_is_asked_for(tmp_path, settings) -> None:
    ends = restore(tmp_path, {"grey.png": colours()["grey.png"]}, **settings)
    assert ranges(ends["grey.png"].written) > GREYED


@pytest.mark.parametrize("key", ["colour.png", "sepia.png"])
def test_automatic_restoration_keeps_colour_as_it_is(tmp_path, key) -> None:
    end = restore(tmp_path, {key: colours()[key]}, task="auto")[key]
    assert end.delivered
    assert np.abs(end.written.mean((0, 1)) - end.given.mean((0, 1))).max() < 2
