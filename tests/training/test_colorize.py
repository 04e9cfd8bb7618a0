"""The lesson of the network that colours, at a tiny size: where it begins, what it is shown, and what it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deqir.operators import Colorization
from deqir.priors.starters.colorizing import Colorizer
from tests.training.photographs import learn, prepared
from training import colorize
from training.colorize import Colorizing
from training.data import Crops, as_shares
from training.starting import Recipe, Run

RECIPE = Recipe(hours=3 / 3600, batch=2, rate=1e-3, eyes=0.02, rise=5, every=1)
LESSON = Colorizing(size=64, held=128)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs whose dark places are blue and whose bright ones are yellow."""
    return prepared(tmp_path_factory.mktemp("golden"), lossy=False, dark_and_bright=("navy", "gold"))


def test_a_run_begins_with_grey_images_and_learns_colours_without_a_change_to_alexnet(golden, tmp_path, lpips) -> None:
    run = Run(tmp_path, LESSON, RECIPE, golden, device=torch.device("cpu"))
    begun = LESSON.restored(run.progress.average, run.held)
    assert torch.equal(begun["coloured"], begun["grey"])
    learn(run, 60)
    found = LESSON.restored(run.progress.average, run.held)
    assert torch.equal(found["grey"], begun["grey"])
    torch.testing.assert_close(Colorization()(found["coloured"]), found["grey"][:, :1])
    grey, coloured = (float((found[name] - run.held).square().mean()) for name in ("grey", "coloured"))
    assert coloured < 0.5 * grey
    for network in (run.progress.network, run.progress.average):
        assert isinstance(network, Colorizer)
        for name, weight in lpips.convolutions.state_dict().items():
            assert torch.equal(network.trunk.state_dict()[name], weight), name


def test_photographs_stand_upright_for_it_and_some_are_mirrored(planes, tmp_path, lpips) -> None:
    run = Run(tmp_path, Colorizing(size=32, held=40), RECIPE, planes, device=torch.device("cpu"))
    crops = run.crops(32, 40)
    assert (crops[:, 2].diff(dim=1) > 0).all()
    rises = crops[:, 1].diff(dim=2) > 0
    assert rises.any()
    assert not rises.all()


def test_crops_are_of_one_size_and_some_darker_than_others(golden) -> None:
    crops, again = (Crops(golden, "train", seed=0, turns=False) for _ in range(2))
    torch.manual_seed(0)
    drawn = [LESSON._lit(as_shares(*LESSON.drawn(crops, RECIPE))) for _ in range(8)]
    assert {tuple(x.shape) for x in drawn} == {(2, 3, 64, 64)}
    assert all(-1 <= float(x.min()) < float(x.max()) <= 1 for x in drawn)
    torch.manual_seed(1)
    assert not torch.allclose(LESSON._lit(as_shares(*LESSON.drawn(again, RECIPE))), drawn[0], atol=0.05)


def test_the_command_trains_a_colorizer(golden, tmp_path, monkeypatch, lpips) -> None:
    monkeypatch.setattr(
        "sys.argv", ["colorize", str(tmp_path), "--data", str(golden), "--batch", "1", "--hours", "1e-9"]
    )
    colorize.main()
    weights = torch.load(tmp_path / "ema.pt", weights_only=True)
    Colorizer().load_state_dict(weights)
    assert weights["last.weight"].any()
