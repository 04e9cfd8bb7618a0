"""What the tests of the recipes share: small photographs, and LPIPS for which nothing is fetched."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import figures, quality
from deqir.pretrained.lpips import Lpips
from tests.training.photographs import PICTURE, prepared
from training import colorize, starting
from training.data import Picture, Split


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs out of an archive, one on each side of the split."""
    return prepared(tmp_path_factory.mktemp("photographs"))


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """Two photographs, each a plane of its own colour with columns counted in green, rows in blue; one a split."""
    folder = tmp_path / "planes"
    folder.mkdir()
    rows, pixels = list[Picture](), b""
    sides: tuple[Split, ...] = ("train", "validation")
    for red, split in enumerate(sides, 1):
        plane = np.zeros((60, 80, 3), np.uint8)
        plane[..., 0], plane[..., 1], plane[..., 2] = 50 * red, np.arange(80), np.arange(60)[:, None]
        rows.append(Picture(photograph=split, split=split, scale=1, offset=len(pixels), height=60, width=80))
        pixels += plane.tobytes()
    (folder / "pixels.bin").write_bytes(pixels)
    (folder / "index.json").write_text(json.dumps([asdict(row) for row in rows]))
    return folder


@pytest.fixture
def lpips(monkeypatch: pytest.MonkeyPatch) -> Lpips:
    """A distance of unlearnt weights, none of its heads' below 0, which the recipes take for LPIPS."""
    torch.manual_seed(0)
    unlearnt = Lpips().requires_grad_(False)
    for head in unlearnt.heads.parameters():
        head.abs_()
    monkeypatch.setattr(starting, "fetch_model", lambda name: Path(name))
    for module in (starting, colorize):
        monkeypatch.setattr(module, "load_lpips", lambda device: copy.deepcopy(unlearnt).to(device))
    return unlearnt


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks take a photograph of scikit-image's wheel and LPIPS with random weights: nothing is fetched."""
    torch.manual_seed(0)
    unlearnt = Lpips().requires_grad_(False)
    for module, names in ((quality, ["astronaut"]), (figures, figures.SHOWN.values())):
        monkeypatch.setattr(module, "fetch_model", lambda name: None)
        monkeypatch.setattr(module, "load_lpips", lambda device: unlearnt)
        monkeypatch.setattr(module, "photograph_paths", lambda names=names: dict.fromkeys(names, PICTURE))
