"""The pictures of the tasks, at a tiny size: what they show and say is what was measured."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from benchmarks import figures
from benchmarks.tasks import TASKS


def test_a_picture_shows_four_images_and_its_figures_are_kept(offline, tiny_prior, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(figures, "PART", 48)
    options = ["--size", "96", "--tile", "64", "--prior", tiny_prior, "--task", "colorize", "--task", "gaussian 3"]
    monkeypatch.setattr("sys.argv", ["figures", str(tmp_path), *options])
    figures.main()
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert list(rows) == ["colorize", "gaussian 3"]
    sheet = np.asarray(Image.open(tmp_path / "gaussian-3.webp"))
    assert sheet.shape == (48 + figures.CAPTION, 4 * 52 - 4, 3)
    table = (tmp_path / "figures.md").read_text()
    assert f"{rows['gaussian 3']['restored']['psnr']:.2f}" in table
    assert rows["colorize"]["start"]["psnr"] != rows["colorize"]["restored"]["psnr"]


def test_every_task_has_its_photograph() -> None:
    assert figures.SHOWN.keys() == TASKS.keys()
