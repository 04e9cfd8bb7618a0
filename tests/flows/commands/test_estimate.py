"""`deqir estimate` as its users meet it: the real command on a folder of photographs."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from deqir.estimation import Estimate, NoiseEstimate
from flows.commands.estimate import table
from pipeline.tools.estimate import Estimated
from tests.flows.conftest import one_line
from tests.pipeline.archive import pixels, put, snapshot


def photograph() -> np.ndarray:
    """Astronaut at half its size, in levels, shape (256, 256, 3)."""
    return data.astronaut().reshape(256, 2, 256, 2, 3).mean((1, 3))


def file_of(levels: np.ndarray, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one image of each kind, two bad files, and something that is no image."""
    folder, good = tmp_path / "in", photograph()
    scratched = good.copy()
    scratched[20:230, 100:102] = 250
    scratched[140:142, 10:240] = 250
    put(folder, "a/noisy.png", file_of(good + 10 * np.random.default_rng(0).standard_normal(good.shape)))
    put(folder, "b/scratched.png", file_of(scratched))
    put(folder, "c/small.jpg", file_of(good, "JPEG", quality=70))
    put(folder, "d/flat.png", file_of(np.full((40, 40, 3), 255.0)))
    put(folder, "e/cut.png", file_of(good)[:500])
    put(folder, "notes.txt", b"taken in 1931")
    return folder


def test_estimates_are_told_of_each_image_and_masks_are_written_apart(tmp_path, source, deqir) -> None:
    before = snapshot(source)
    run = deqir("estimate", source, "--json", "--masks", tmp_path / "masks")
    assert run.returncode == 3  # one file is damaged
    assert snapshot(source) == before
    told = {image["key"]: image for image in json.loads(run.stdout)}
    assert list(told) == ["a/noisy.png", "b/scratched.png", "c/small.jpg", "d/flat.png", "e/cut.png"]
    noise = told["a/noisy.png"]["noise"]["sigma"]
    assert noise["value"] * 255 == pytest.approx(10, rel=0.1)
    assert noise["low"] < 10 / 255 < noise["high"]
    assert told["c/small.jpg"]["jpeg"]["quality"] == 70
    assert told["a/noisy.png"]["jpeg"] is None
    flat = told["d/flat.png"]
    assert [flat[name] for name in ("noise", "blur", "upscaling", "jpeg", "damage")] == [None] * 5
    assert (flat["kind"], told["a/noisy.png"]["kind"]) == ("flat", "photograph")
    assert told["a/noisy.png"]["command"].startswith("deqir restore SRC DST --task denoise --noise 0.0")
    assert told["c/small.jpg"]["command"] == "deqir restore SRC DST --task jpeg"
    assert (flat["command"], told["e/cut.png"]["group"]) == (None, None)
    assert "DecodeError" in told["e/cut.png"]["error"]
    assert "e/cut.png: DecodeError" in run.stderr

    mask = pixels(tmp_path / "masks/b/scratched.png")
    assert mask.shape == (256, 256)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[20:230, 100:102] == 255).mean() > 0.75
    assert not pixels(tmp_path / "masks/d/flat.png").any()  # each image of a job needs its mask

    again = deqir("estimate", source, "--json", "--masks", tmp_path / "masks")
    images = {image["key"]: image for image in json.loads(again.stdout)}
    assert "exists already and was left alone" in images["b/scratched.png"]["error"]


LONG = "scans of the second volume/plates 101 to 200/plate 117, Zürich, Bahnhofbrücke, morning.png"


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_each_image_has_a_line_in_columns_of_which_nothing_is_cut(tmp_path, deqir, columns) -> None:
    """In a pipe, whatever a terminal's width: each image is one line, with its name as it is at the end."""
    good = photograph()
    put(tmp_path, f"in/{LONG}", file_of(good + 10 * np.random.default_rng(0).standard_normal(good.shape)))
    put(tmp_path, "in/small.jpg", file_of(good, "JPEG", quality=70))
    put(tmp_path, "in/torn.png", file_of(good)[:500])
    run = deqir("estimate", tmp_path / "in", "--each", COLUMNS=columns)
    assert "Traceback" not in run.stderr
    heading, noisy, small, torn, meaning, space, *groups = run.stdout.splitlines()
    assert space == ""
    assert groups[-1] == "1 not read"
    assert heading.split() == ["size", "noise", "blur", "scale", "JPEG", "damage", "image"]
    assert noisy.index("scans of") == small.index("small.jpg") == torn.index("torn.png") == heading.index("image")
    assert noisy.endswith(LONG)
    assert re.match(r" *256 x 256 +(9|10)\.\d \(\d+\.\d-\d+\.\d\) .* \? +\d\.\d\d% scans", noisy)
    assert small.split()[-3:] == ["70", small.split()[-2], "small.jpg"]
    assert torn.split() == ["not", "read", "torn.png"]
    assert "nine in ten in the brackets" in meaning


def test_an_archive_is_told_in_groups_with_a_command_for_each(tmp_path, deqir) -> None:
    good, folder = photograph(), tmp_path / "in"
    for n in range(4):
        put(folder, f"scans/{n}.jpg", file_of(np.roll(good, 16 * n, 0), "JPEG", quality=40))
    put(folder, "page.png", file_of(np.full((40, 40, 3), 255.0)))
    run = deqir("estimate", folder)
    assert run.returncode == 0
    first, command, names, second, advice, page = run.stdout.splitlines()
    assert first.startswith("4 images: colour photographs, JPEGs of quality 40")
    assert command == "    deqir restore SRC DST --task jpeg"
    assert names == "    scans/0.jpg, scans/1.jpg, scans/2.jpg and 1 more"
    assert (second, page) == ("1 image: flat pictures", "    page.png")
    assert "left alone" in advice


def test_what_is_known_of_an_image_fits_a_terminal_of_80_columns_beside_a_name() -> None:
    """The widest cells that there are: a large scan whose intervals are wide."""
    wide = Estimated(
        key="plate 117, b.png",
        width=12_000,
        height=12_000,
        noise=NoiseEstimate(sigma=Estimate(value=25.5 / 255, low=10.1 / 255, high=30.2 / 255), channels=(0.1,)),
        blur=Estimate(value=1.5, low=0.5, high=2.5),
        damage=1.0,
    )
    heading, line, meaning = (text.plain for text in table([wide]))
    assert line == "12000 x 12000 25.5 (10.1-30.2) 1.5 (0.5-2.5)     ?    ? 100.00% plate 117, b.png"
    assert max(map(len, (heading, line, meaning))) == 80


def test_a_name_cannot_put_lines_or_colours_into_the_columns() -> None:
    heading, line, _ = (text.plain for text in table([Estimated(key="z\n\x1b[31mb.png")]))
    assert line.endswith(r" z\n\x1b[31mb.png")
    assert line.index("z") == heading.index("image")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("{tmp}/nowhere",), "nowhere"),
        (("{tmp}/empty",), "holds no image"),
        (("{tmp}/in", "--masks", "{tmp}/in/masks"), "must lie apart"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line(tmp_path, source, deqir, arguments, text) -> None:
    (tmp_path / "empty").mkdir()
    assert text in one_line(deqir("estimate", *(each.format(tmp=tmp_path) for each in arguments)))


def test_images_larger_than_is_allowed_are_told_as_such(source, deqir) -> None:
    run = deqir("estimate", source, "--json", "--max-pixels", "2000")
    assert run.returncode == 3
    told = {image["key"]: image["error"] for image in json.loads(run.stdout)}
    assert "`max_pixels` is 2000" in told["a/noisy.png"]
    assert told["d/flat.png"] is None
    run = deqir("estimate", source, "--max-pixels", "0")
    assert run.returncode == 2
    assert "--max-pixels" in run.stderr
