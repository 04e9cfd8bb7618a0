"""The recipe at a tiny size: what is minimised, what a run leaves behind, and how it goes on."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from deqir import Restorer, load_prior
from deqir.operators import Colorization
from training import evaluate
from training.data import Crops
from training.export import export, shape_of
from training.objective import COARSE, STRONG, STRONG_SHARE, WEAK, Objective, draw_noise, log_error
from training.train import LEVELS, Recipe, Run, build, denoising_psnr, rate_at

TINY = {"width": 8, "blocks": 1, "coarse_width": 8, "coarse_blocks": 1, "levels": 3}
RECIPE = Recipe(
    hours=1 / 3600,
    batch=1,
    size=32,
    coarse_size=64,
    architecture=TINY,
    warm=False,
    rate=3e-3,
    rise=5,
    every=0.3,
    crop=32,
)


@pytest.fixture(scope="module", autouse=True)
def steady_clock() -> Iterator[None]:
    """Let each step take a fiftieth of a second, so that a run of a second has as many steps on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.train.time", SimpleNamespace(monotonic=partial(next, count(step=0.02))))
        yield


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run."""
    run = Run(tmp_path_factory.mktemp("run"), RECIPE, data, device=torch.device("cpu"))
    run.train()
    return run


def test_noise_is_drawn_from_both_ranges_in_the_stated_shares() -> None:
    sigma = draw_noise(20_000, torch.Generator().manual_seed(0))
    assert WEAK[0] <= float(sigma.min()) < WEAK[0] * 1.1
    assert STRONG[1] / 1.1 < float(sigma.max()) <= STRONG[1]
    assert float((sigma > STRONG[0]).float().mean()) == pytest.approx(STRONG_SHARE, abs=0.015)
    coarse = draw_noise(20_000, torch.Generator().manual_seed(0), first=1)
    assert (float(coarse.min()), float(coarse.max())) == pytest.approx((COARSE[0] / 2, COARSE[1] / 2), rel=0.01)
    weak = sigma[sigma < WEAK[1]].log()
    assert float(weak.mean()) == pytest.approx((math.log(WEAK[0]) + math.log(WEAK[1])) / 2, abs=0.03)


def test_the_error_weighs_every_sample_by_the_logarithm_of_its_own() -> None:
    target = torch.zeros(2, 3, 4, 4)
    found = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    torch.testing.assert_close(log_error(found, target), torch.tensor([1e-2, 1e-4]).log(), atol=2e-3, rtol=0)


class Oracle(nn.Module):
    """Knows the clean image; stands for a perfect network."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean = clean

    def scales(self, image: Tensor, noise: Tensor, *, first: int) -> list[Tensor]:
        return [self.clean, nn.functional.avg_pool2d(self.clean, 2)]


def test_a_perfect_network_reaches_the_floor_of_the_loss_at_every_scale() -> None:
    clean = torch.rand(2, 3, 8, 8)
    loss = Objective(Oracle(clean))(clean, torch.randn_like(clean), torch.tensor([0.2, 0.3]))  # type: ignore[arg-type]
    assert float(loss) < 1.1 * math.log(1e-7)


def test_the_learning_rate_rises_shortly_and_ends_low() -> None:
    recipe = Recipe(hours=1)
    rates = [rate_at(recipe, step=10 * n, seconds=3600 * n / 100) for n in range(101)]
    top = rates.index(max(rates))
    assert rates[0] < 0.01 * recipe.rate < 0.9 * recipe.rate < rates[top]
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < 0.01 * recipe.rate


def test_a_run_leaves_a_curve_and_weights_that_make_a_prior(run, tmp_path) -> None:
    with (run.folder / "curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == sorted(int(row["step"]) for row in rows)
    assert int(rows[-1]["step"]) == run.progress.step > 0
    assert len(rows) >= 3
    weights = torch.load(run.folder / "ema.pt", weights_only=True)
    assert shape_of(weights) == TINY | {"channels": 3}
    card = export(weights, tmp_path / "mine", name="mine")
    prior = load_prior(str(tmp_path / "mine"), device="cpu")
    assert (prior.digest, prior.max_noise, prior.multiple) == (card.sha256, STRONG[1], 8)
    x, noise = torch.rand(1, 3, 16, 24), torch.tensor([0.3])
    torch.testing.assert_close(evaluate.network_of(prior)(x, noise), run.progress.average(x, noise), atol=2e-3, rtol=0)
    assert Restorer(prior, steps=2)(torch.zeros(1, 1, 5, 7), Colorization()).images.shape == (1, 3, 5, 7)


def test_a_run_goes_on_where_its_checkpoint_stands(run, data) -> None:
    again = Run(run.folder, replace(RECIPE, hours=2 / 3600), data, device=torch.device("cpu"))
    assert (again.progress.step, again.progress.seconds) == (run.progress.step, run.progress.seconds)
    for one, other in zip(again.progress.average.parameters(), run.progress.average.parameters(), strict=True):
        assert torch.equal(one, other)
    again.train()
    assert again.progress.step > run.progress.step
    assert again.progress.seconds == pytest.approx(2, abs=1)


def test_learning_lowers_the_error_of_a_network_from_nothing(run, data) -> None:
    clean = Crops(data, "validation", seed=0).centres(32)
    begun = build(RECIPE)
    gain = [b - a for a, b in zip(denoising_psnr(begun, clean), denoising_psnr(run.network, clean), strict=True)]
    assert len(gain) == len(LEVELS)
    assert sum(gain) / len(gain) > 1


def test_two_processes_train_one_network(data, tmp_path) -> None:
    torch.multiprocessing.spawn(_one_of_two, args=(data, tmp_path), nprocs=2)  # type: ignore[no-untyped-call]
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert one["seed"] != other["seed"]
    for key, value in one["network"].items():
        assert torch.equal(value, other["network"][key]), key


def _one_of_two(rank: int, data: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "meeting"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    run = Run(folder / "run", replace(RECIPE, hours=0.5 / 3600), data, device=torch.device("cpu"), rank=rank)
    seed = run.random.initial_seed()
    run.train()
    torch.save({"network": run.network.state_dict(), "seed": seed}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_evaluation_writes_a_table_and_pictures(run, data, tmp_path, monkeypatch) -> None:
    export(run.progress.average.state_dict(), tmp_path / "mine", name="mine")
    yardstick = load_prior(str(tmp_path / "mine"), device="cpu")
    monkeypatch.setattr(evaluate, "load_prior", lambda name, device: yardstick)
    monkeypatch.setattr(evaluate, "ffdnet", lambda: evaluate.network_of(yardstick))
    small = ["--size", "32", "--steps", "2", "--sample-size", "32"]
    monkeypatch.setattr("sys.argv", ["evaluate", "mine", "--data", str(data), "--out", str(tmp_path / "out"), *small])
    evaluate.main()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "denoised.png",
        "denoising.json",
        "denoising.md",
        "samples.png",
    }
    assert "+0.00" in (tmp_path / "out" / "denoising.md").read_text()
