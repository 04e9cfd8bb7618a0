"""Tones through a real worker: colour stays colour, a tint stays that tint, and colour is invented on request only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from deqir.estimation.spectrum import natural_levels
from tests.pipeline.archive import pixels
from tests.pipeline.shard_runs import run

ROOT = Path(__file__).parents[3]
SIDE = 64
GREY = natural_levels(SIDE, SIDE).double().numpy().clip(0, 255)
SEPIA = np.stack([GREY * 1.07, GREY * 0.93, GREY * 0.72], -1)
COLOUR = GREY[..., None] + np.sin(np.arange(SIDE) / 9)[None, :, None] * np.array([60.0, -30.0, 20.0])


def write(folder: Path, images: dict[str, NDArray[np.float64]]) -> None:
    folder.mkdir(exist_ok=True)
    for name, image in images.items():
        Image.fromarray(image.clip(0, 255).round().astype(np.uint8)).save(folder / f"{name}.png")


NETWORK = {"prior": "bundled", "steps": 3}
"""A network that knows photographs: pixels count here."""

ALL = {"colour": COLOUR, "sepia": SEPIA, "grey": GREY, "grey_in_rgb": np.repeat(GREY[..., None], 3, -1)}


def coffee() -> dict[str, NDArray[np.float64]]:
    """Part of a photograph in colour, as it is, as sepia and as grey."""
    with Image.open(ROOT / "samples/originals/things/coffee.png") as file:
        colour = np.asarray(file.convert("RGB"), dtype=np.float64)[60:156, 100:196]
    grey = colour @ np.array([0.299, 0.587, 0.114])
    return {"colour": colour, "sepia": np.stack([grey * 1.07, grey * 0.93, grey * 0.72], -1), "grey": grey}


def ranges(image: NDArray[Any]) -> float:
    """Mean distance of the channels in a pixel."""
    values = image.astype(float)
    return float((values.max(-1) - values.min(-1)).mean())


def test_a_photograph_keeps_its_colours_whatever_lies_beside_it(opened, source, destination) -> None:
    write(source, given := coffee())
    _, worker, shards = opened(degradation={"task": "old-photo", "scale": 2}, result=NETWORK)
    assert [row.status for row in run(worker, shards[0])] == ["restored"] * 3
    assert pixels(destination / "grey.png").shape == (192, 192)
    for name in ("colour", "sepia"):
        found = pixels(destination / f"{name}.png").astype(float)
        assert abs(ranges(found) - ranges(given[name].clip(0, 255))) < 1.5
        assert np.abs(found.mean((0, 1)) - given[name].clip(0, 255).mean((0, 1))).max() < 1.5


@pytest.mark.parametrize("settings", [{"scale": 2}, {}], ids=["small", "noisy"])
def test_old_photographs_keep_their_tone(opened, source, destination, settings) -> None:
    write(source, ALL)
    _, worker, shards = opened(degradation={"task": "old-photo", **settings}, result=NETWORK)
    rows = run(worker, shards[0])
    assert [(row.status, row.error) for row in rows] == [("restored", None)] * 4
    if "scale" in settings:  # the grey of a tint is what agrees with y; the rest is rounding to 8 bits and clipping
        assert max(row.data_consistency for row in rows) < 0.02
    found = {name: pixels(destination / f"{name}.png") for name in ALL}
    side = SIDE * settings.get("scale", 1)
    assert found["grey"].shape == (side, side)
    assert ranges(found["grey_in_rgb"]) == 0
    for name in ("colour", "sepia"):
        assert abs(ranges(found[name]) - ranges(ALL[name].clip(0, 255))) < 3
    # wherever nothing is clipped, the colour follows from the grey as it did
    sepia = found["sepia"].astype(float)
    inside = (sepia > 10).all(-1) & (sepia < 245).all(-1)
    luma = sepia @ np.array([0.299, 0.587, 0.114])
    tinted = luma[..., None] * np.array([1.07, 0.93, 0.72]) / 0.948  # the luma of the tint of white
    assert np.abs(sepia - tinted)[inside].mean() < 2


def test_on_request_grey_and_sepia_are_given_colour_and_colour_stays(opened, source, destination) -> None:
    write(source, ALL)
    _, worker, shards = opened(degradation={"task": "old-photo", "scale": 2, "colour": "yes"}, result=NETWORK)
    rows = run(worker, shards[0])
    assert [row.status for row in rows] == ["restored"] * 4
    found = {name: pixels(destination / f"{name}.png") for name in ALL}
    assert all(image.shape == (2 * SIDE, 2 * SIDE, 3) for image in found.values())
    assert abs(ranges(found["colour"]) - ranges(COLOUR.clip(0, 255))) < 3
    means = found["grey"].astype(float).reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3)) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(means - GREY.round()).mean() < 1  # the grey is the given one


@pytest.mark.parametrize("task", ["colorize", "old-photo"])
def test_an_image_in_colour_is_not_coloured_anew(opened, source, destination, task) -> None:
    write(source, ALL)
    settings = {"colour": "yes"} if task == "old-photo" else {}
    _, worker, shards = opened(degradation={"task": task, **settings})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    colour = rows.pop("colour.png")
    assert colour.status == "unchanged"
    assert "it is in colour already" in colour.decisions[0]
    assert [row.status for row in rows.values()] == ["restored"] * 3
    assert (destination / "colour.png").read_bytes() == (source / "colour.png").read_bytes()


@pytest.mark.parametrize("grey", [True, False])
def test_a_job_of_version_0_1_takes_all_images_for_grey_or_for_coloured(opened, source, destination, grey) -> None:
    write(source, ALL)
    _, worker, shards = opened(degradation={"task": "old-photo", "scale": 2, "grey": grey}, result=NETWORK)
    assert [row.status for row in run(worker, shards[0])] == ["restored"] * 4
    assert pixels(destination / "grey.png").ndim == (3 if grey else 2)
    kept = ranges(pixels(destination / "colour.png")) > ranges(COLOUR.clip(0, 255)) - 3
    assert kept is not grey
