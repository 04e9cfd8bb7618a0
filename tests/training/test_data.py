"""The training photographs: which may be used, what is checked, and what crops come of them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.photographs import package, picture
from training.data import Crops, fingerprint, prepare, split_of
from training.packages import LIST, PACKAGES, SMOKE, DataError, photographs

PERMISSIVE = {"public domain", "MIT", "Expat (MIT)", "BSD-2-Clause"}
NEVER = {"astronaut", "chelsea", "rocket", "motorcycle", "china", "flower", "baboon", "fruits", "butterfly"}


def test_every_listed_photograph_is_permissively_licensed_and_comes_from_a_pinned_package() -> None:
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["licence"] for row in rows} == PERMISSIVE
    assert {row["package"] for row in rows} == {one.name for one in PACKAGES}
    assert len(photographs(PACKAGES)) == len(rows) == 166
    assert not NEVER & {Path(row["file"]).stem for row in rows}


def test_both_sides_of_the_split_hold_photographs_even_in_the_smoke_setting() -> None:
    for packages in (PACKAGES, SMOKE):
        sides = [split_of(photograph.name) for photograph in photographs(packages)]
        assert sides.count("train") > 5 * sides.count("validation") > 0


def test_an_archive_that_is_not_the_pinned_one_is_refused(tmp_path) -> None:
    tiny, listed = package(tmp_path)
    with pytest.raises(DataError, match="expected 0000"):
        prepare(tmp_path / "data", [replace(tiny, sha256="0" * 64)], downloads=tmp_path / "downloads", listed=listed)


def test_a_photograph_of_another_size_than_listed_is_refused(tmp_path) -> None:
    tiny, listed = package(tmp_path)
    listed.write_text(listed.read_text().replace("512", "513"))
    with pytest.raises(DataError, match=r"holds no a\.png of 513 x 400"):
        prepare(tmp_path / "data", [tiny], downloads=tmp_path / "downloads", listed=listed)


def test_lossy_photographs_are_halved_and_doubles_are_left_out(tmp_path) -> None:
    for lossy, side in ((True, 256), (False, 512)):
        tiny, listed = package(tmp_path / str(side), lossy=lossy)
        downloads = tmp_path / str(side) / "downloads"
        pictures = prepare(tmp_path / str(side) / "data", [tiny], downloads=downloads, listed=listed)
        assert {one.photograph for one in pictures} == {"tiny/a.png", "tiny/v.png"}
        assert max(one.width for one in pictures) == side


def test_a_fingerprint_survives_brightness_and_tells_pictures_apart() -> None:
    one, brighter, other = (fingerprint(image) for image in (picture(1), picture(1, brighter=9), picture(2)))
    assert (one ^ brighter).bit_count() <= 3 < 12 < (one ^ other).bit_count()


@pytest.mark.parametrize(("split", "red"), [("train", 50), ("validation", 100)])
def test_crops_come_from_their_own_split_alone_and_are_whole(planes, split, red) -> None:
    crops = Crops(planes, split, seed=3)(32, 40)
    assert crops.shape == (32, 3, 40, 40)
    torch.testing.assert_close(crops[:, 0], torch.full((32, 40, 40), red / 255))
    for green in (crops[:, 1] * 255).round():
        lines = green if torch.equal(green[0], green[1]) else green.mT
        assert torch.equal(lines, lines[:1].expand_as(lines))
        assert lines[0].diff().abs().eq(1).all()


def test_crops_that_are_not_turned_stand_upright_and_some_are_mirrored(planes) -> None:
    crops = (Crops(planes, "train", seed=3, turns=False)(32, 40) * 255).round()
    assert crops[:, 2].diff(dim=1).eq(1).all()
    assert set(crops[:, 1].diff(dim=2).flatten().tolist()) == {-1.0, 1.0}


def test_the_same_seed_draws_the_same_crops_and_another_seed_others(planes) -> None:
    one, same, other = (Crops(planes, "train", seed=seed)(8, 32) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_crops_as_bytes_are_the_same_ones(planes) -> None:
    shares, pixels = Crops(planes, "train", seed=1)(8, 32), Crops(planes, "train", seed=1).pixels(8, 32)
    assert pixels.dtype == torch.uint8
    torch.testing.assert_close(shares * 255, pixels.float())


def test_crops_larger_than_every_photograph_are_refused(planes) -> None:
    with pytest.raises(DataError, match="no photograph is 100 pixels"):
        Crops(planes, "train", seed=0)(1, 100)
