"""Runs of networks that make starts: what they share, whatever is learnt; here it is a line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deqir.pretrained.lpips import Lpips
from training.ahead import Batch
from training.data import Crops, as_shares
from training.starting import Recipe, Run, begun, parser_of, train

pytestmark = pytest.mark.usefixtures("lpips")
SECOND = 1 / 3600
ONE_STEP = 1e-9 * SECOND
"""Time that is over after any step."""
RECIPE = Recipe(hours=ONE_STEP, batch=2, rate=0.01, eyes=0.1, rise=1, every=0.3)


class Line(nn.Module):
    """What is slope times as bright, and offset brighter."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, y: Tensor) -> Tensor:
        return self.slope * y + self.offset


class Brightening:
    """Half as bright photographs are to be as bright as they were: a slope of 2, no offset."""

    turns = True
    held = 64
    shown = ("dark", "bright")

    def __init__(self) -> None:
        self.recipes = list[Recipe]()

    def network(self, earlier: Mapping[str, Tensor] | None) -> nn.Module:
        return Line() if earlier is None else begun(Line(), earlier)

    def groups(self, network: nn.Module, rate: float) -> Sequence[dict[str, Any]]:
        slope, offset = network.parameters()
        return [{"params": [slope], "highest": rate}, {"params": [offset], "highest": 0.1 * rate}]

    def begin(self, network: nn.Module, crops: Crops, recipe: Recipe) -> None:
        nn.init.constant_(network.get_parameter("slope"), 1.5)

    def drawn(self, crops: Crops, recipe: Recipe) -> Batch:
        return (crops.pixels(recipe.batch, 32),)

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe, lpips: Lpips) -> Tensor:
        self.recipes.append(recipe)
        x = 2 * as_shares(*batch) - 1
        image = network(0.5 * x)
        distance: Tensor = lpips(image, x)
        error: Tensor = (image - x).square().mean() + recipe.eyes * distance.mean()
        return error

    def restored(self, network: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
        return {"dark": network(0.5 * x), "bright": network(x)}


class RootOfNothing(Brightening):
    """A root of what is 0 has no derivative."""

    gradients_are_lost = False

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe, lpips: Lpips) -> Tensor:
        error = (0 * super().loss(network, batch, recipe, lpips)).sqrt()
        slope = network.get_parameter("slope")
        (gradient,) = torch.autograd.grad(error, slope, retain_graph=True)
        self.gradients_are_lost = bool(gradient.isnan())
        return error


def run_in(folder: Path, data: Path, recipe: Recipe) -> Run:
    return Run(folder, Brightening(), recipe, data, device=torch.device("cpu"))


def curve_of(run: Run) -> list[dict[str, str]]:
    with (run.folder / "curve.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_a_curve_that_begins_with_what_was_prepared_and_rises_to_what_was_learnt(data, tmp_path) -> None:
    run = run_in(tmp_path, data, replace(RECIPE, hours=2 * SECOND, rate=0.05))
    run.train()
    rows = curve_of(run)
    assert list(rows[0]) == ["step", "seconds", "psnr dark", "lpips dark", "psnr bright", "lpips bright"]
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, run.progress.step)
    error = (0.25 * run.held).square().flatten(1).mean(1)  # of pictures 1.5 / 2 as bright, cut off nowhere
    begun, learnt = (float(row["psnr dark"]) for row in (rows[0], rows[-1]))
    assert begun == pytest.approx(float((10 * (4 / error).log10()).mean()), abs=0.01)
    assert learnt > begun + 10
    found = torch.load(tmp_path / "ema.pt", weights_only=True)
    assert float(found["slope"]) == pytest.approx(2, abs=0.1)


def test_a_run_goes_on_where_its_checkpoint_stands_and_draws_other_photographs(data, tmp_path) -> None:
    run = run_in(tmp_path, data, RECIPE)
    first = run.crops(4, 32)
    run = run_in(tmp_path, data, RECIPE)
    assert torch.equal(run.crops(4, 32), first)
    run.train()
    rows = curve_of(run)
    again = run_in(tmp_path, data, replace(RECIPE, hours=(run.progress.seconds + 0.5) / 3600))
    assert (again.progress.step, again.progress.seconds) == (run.progress.step, run.progress.seconds)
    for name in ("network", "average"):
        one, other = (getattr(each.progress, name).state_dict() for each in (run, again))
        assert one == other
    assert not torch.equal(again.crops(4, 32), first)
    again.train()
    assert again.progress.step > run.progress.step
    assert curve_of(again)[: len(rows)] == rows


def test_a_run_whose_time_is_over_is_left_as_it_is(data, tmp_path) -> None:
    run_in(tmp_path, data, RECIPE).train()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run_in(tmp_path, data, RECIPE).train()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_each_group_learns_at_its_own_rate(data, tmp_path) -> None:
    """Adam's first step is as long as the rate, whatever the gradient."""
    run = run_in(tmp_path, data, RECIPE)
    run.train()
    slope, offset = (float(weight.detach()) for weight in run.progress.network.parameters())
    assert run.progress.step == 1
    assert abs(slope - 1.5) == pytest.approx(0.01, rel=1e-3)
    assert abs(offset) == pytest.approx(0.001, rel=1e-3)


def test_a_run_that_goes_on_learns_at_the_rates_that_it_is_given_now(data, tmp_path) -> None:
    run_in(tmp_path, data, RECIPE).train()
    again = run_in(tmp_path, data, replace(RECIPE, hours=1, rate=0.05))
    again._one_step(next(again.batches()), 0)
    assert [group["lr"] for group in again.progress.optimizer.param_groups] == pytest.approx([0.05, 0.005])


def test_a_run_that_begins_with_anothers_weights_takes_their_average_and_prepares_nothing(data, tmp_path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    torch.save({"slope": torch.tensor(1.75).half(), "offset": torch.tensor(0.25).half()}, earlier / "ema.pt")
    run = Run(tmp_path / "run", Brightening(), RECIPE, data, device=torch.device("cpu"), earlier=earlier)
    run.train()
    first, _ = curve_of(run)
    error = ((1.75 * 0.5 - 1) * run.held + 0.25).square().flatten(1).mean(1)
    assert float(first["psnr dark"]) == pytest.approx(float((10 * (4 / error).log10()).mean()), abs=0.05)
    slope, offset = (float(weight.detach()) for weight in run.progress.network.parameters())
    assert (slope, offset) == (pytest.approx(1.75, abs=0.011), pytest.approx(0.25, abs=0.0011))


def test_a_run_that_is_resumed_no_longer_needs_the_one_that_it_began_with(data, tmp_path) -> None:
    folder, cpu = tmp_path / "run", torch.device("cpu")
    torch.save({"slope": torch.tensor(1.75), "offset": torch.zeros(())}, tmp_path / "ema.pt")
    run = Run(folder, Brightening(), RECIPE, data, device=cpu, earlier=tmp_path)
    run.train()
    (tmp_path / "ema.pt").unlink()
    again = Run(folder, Brightening(), RECIPE, data, device=cpu, earlier=tmp_path)
    assert again.progress.network.state_dict() == run.progress.network.state_dict()


def test_weights_of_another_network_are_refused(data, tmp_path) -> None:
    torch.save({"slope": torch.ones(2), "offset": torch.zeros(())}, tmp_path / "ema.pt")
    with pytest.raises(ValueError, match="not of this Line; begin with a run of its kind"):
        Run(tmp_path / "run", Brightening(), RECIPE, data, device=torch.device("cpu"), earlier=tmp_path)


def test_a_step_whose_gradient_is_not_a_number_changes_no_weight(data, tmp_path) -> None:
    run = run_in(tmp_path, data, RECIPE)
    (pixels,) = next(run.batches())
    before = {name: weight.clone() for name, weight in run.progress.network.state_dict().items()}
    nowhere = RootOfNothing()
    run.lesson = nowhere
    run._one_step((pixels,), 0)
    assert nowhere.gradients_are_lost
    assert run.progress.network.state_dict() == before


def test_a_command_does_the_run_that_its_arguments_describe(data, tmp_path) -> None:
    parser = parser_of("Learn a line.", "line", batch=6, rate=1e-4, eyes=1.0)
    needed = [str(tmp_path), "--data", str(data), "--hours", str(ONE_STEP)]
    lesson = Brightening()
    train(parser.parse_args([*needed, "--threads", "1"]), lesson)
    assert lesson.recipes == [Recipe(hours=ONE_STEP, batch=6, rate=1e-4, eyes=1.0)]
    lesson = Brightening()
    chosen = ["--batch", "1", "--rate", "0.02", "--eyes", "0", "--every", "5", "--hours", "1e-5", "--rise", "7"]
    train(parser.parse_args([str(tmp_path / "other"), *needed[1:], *chosen]), lesson)
    assert set(lesson.recipes) == {Recipe(hours=1e-5, batch=1, rate=0.02, eyes=0, rise=7, every=5)}
    assert (tmp_path / "other" / "ema.pt").exists()
