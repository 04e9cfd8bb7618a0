"""The prior that is made of what the recipes trained: a prior like any other, whose starts are the networks' own."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, combinations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from deqir import load_prior
from deqir.operators import Colorization, Inpainting, SuperResolution, masks
from deqir.operators.colorization import REC_601
from deqir.priors import FFDNet, read_card
from deqir.priors.starters.colorizing import Colorizer, coloured
from deqir.priors.starters.eight_bit_weights import STEPS
from deqir.priors.starters.enlarging import DenseEnlarger, Enlarger
from deqir.priors.starters.filling import Filler
from deqir.priors.starters.starters import Skills
from deqir.protocols import LinearOperator
from tests.deqir.priors.starters.starting import dense_enlarger
from training import bundle

LESSONS = ("enlarge", "fill", "colorize")
SUBSETS = tuple(chain.from_iterable(combinations(LESSONS, count) for count in range(len(LESSONS) + 1)))
HOLED = Inpainting(keep=masks.text(48, 48))


@pytest.fixture(scope="module")
def networks() -> Mapping[str, nn.Module]:
    """Networks of full size as runs begin, but with some colours."""
    torch.manual_seed(0)
    colorizer = Colorizer()
    nn.init.normal_(colorizer.last.weight, std=0.02)
    enlargers = {"x2": Enlarger(scale=2), "x3": Enlarger(scale=3), "x4": DenseEnlarger(scale=4)}
    found = {**enlargers, "fill": Filler(), "colorize": colorizer}
    return {name: network.requires_grad_(False) for name, network in found.items()}


@pytest.fixture(scope="module")
def runs(networks: Mapping[str, nn.Module], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each run, with what bundles need of it."""
    folder = tmp_path_factory.mktemp("runs")
    for name, network in networks.items():
        (folder / name).mkdir()
        torch.save(network.state_dict(), folder / name / "ema.pt")
    return folder


@pytest.fixture(autouse=True)
def _offline(tiny_prior: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small denoiser stands for FFDNet's published one."""
    denoiser = load_prior(tiny_prior, device="cpu").denoiser
    monkeypatch.setattr(bundle, "fetch_prior", Path)
    monkeypatch.setattr(bundle, "prior_directory", lambda name: Path(tiny_prior))
    monkeypatch.setattr(bundle, "ffdnet", lambda: denoiser.network)  # type: ignore[attr-defined]


@pytest.mark.parametrize("lessons", SUBSETS, ids="+".join)
def test_a_bundle_starts_chains_from_what_the_trained_networks_make_and_denoises_as_before(
    lessons, networks, runs, tmp_path, tiny_prior, monkeypatch
) -> None:
    folders = {"enlarge": ("x4", "x3", "x2"), "fill": ("fill",), "colorize": ("colorize",)}
    options = [[f"--{lesson}", *(str(runs / name) for name in folders[lesson])] for lesson in lessons]
    monkeypatch.setattr("sys.argv", ["bundle", str(tmp_path / "mine"), *chain.from_iterable(options)])
    bundle.main()
    prior = load_prior(str(tmp_path / "mine"), device="cpu")
    assert prior.name == "mine"
    x_t, alpha_bar = torch.randn(1, 3, 8, 12), torch.tensor([0.9])
    denoised = load_prior(tiny_prior, device="cpu")(x_t, alpha_bar)
    torch.testing.assert_close(prior(x_t, alpha_bar), denoised, rtol=0, atol=2e-3)

    y = 2 * torch.rand(1, 3, 48, 48) - 1
    none, grey = torch.zeros(1), functional.interpolate(y[:, :1], size=(64, 80), mode="bilinear")
    filler = networks["fill"]
    assert isinstance(filler, Filler)
    wanted: Mapping[str, list[tuple[LinearOperator, Tensor, Tensor]]] = {
        "enlarge": [(SuperResolution(scale=n), y, networks[f"x{n}"](y, 0, none)) for n in (2, 3, 4)],
        "fill": [(HOLED, HOLED(y), filler.fill(y, HOLED.keep[None, None], none)[0])],
        "colorize": [(Colorization(), grey, grey + coloured(networks["colorize"](grey), REC_601))],
    }
    for lesson, cases in wanted.items():
        for A, given, image in cases:
            assert prior.makes_start(A) == (lesson in lessons)
            if lesson in lessons:
                assert prior.starters is not None
                made = prior.starters.make_start(A, given, 0.0)
                assert made is not None
                assert float((made - image).square().mean().sqrt()) < 0.02 * float(image.std())


def test_networks_that_no_run_made_stay_in_the_file_of_the_base(runs, tmp_path, monkeypatch) -> None:
    bundle.bundle(tmp_path / "first", enlarge=[runs / "x2"], fill=runs / "fill")
    monkeypatch.setattr(bundle, "prior_directory", Path)
    first, options = str(tmp_path / "first"), ["--enlarge", str(runs / "x4"), "--colorize", str(runs / "colorize")]
    monkeypatch.setattr("sys.argv", ["bundle", str(tmp_path / "second"), *options, "--base", first])
    bundle.main()
    held = load_file(tmp_path / "second" / "model.safetensors")
    assert {".".join(name.split(".")[:3]) for name in held if name.startswith("enl")} == {"enlargers.networks.4"}
    assert {name.partition(".")[0] for name in held} == {"enlargers", "colorizer"}
    second = load_prior(str(tmp_path / "second"), device="cpu")
    assert second.starters is not None
    assert second.starters.skills == Skills(enlarges=(2, 4), dense=(4,), fills=True, colorizes=True)
    prior, y = load_prior(first, device="cpu"), 2 * torch.rand(1, 3, 48, 48) - 1
    assert prior.starters is not None
    for A, given in ((SuperResolution(scale=2), y), (HOLED, HOLED(y))):
        found, wanted = (starters.make_start(A, given, 0.0) for starters in (second.starters, prior.starters))
        assert found is not None
        assert wanted is not None
        assert torch.equal(found, wanted)
    with pytest.raises(ValueError, match=r"takes networks from .*first itself"):
        bundle.bundle(tmp_path / "third", base=str(tmp_path / "second"))


@torch.no_grad()
def test_a_denoiser_in_half_precision_keeps_the_mean_of_each_plane_that_it_makes() -> None:
    torch.manual_seed(0)
    network, found, rounded = FFDNet(), FFDNet(), FFDNet()
    found.load_state_dict(bundle.halved(network))
    rounded.load_state_dict({name: value.half() for name, value in network.state_dict().items()})
    image, noise = torch.rand(2, 3, 96, 96), torch.tensor([0.02, 0.2])

    def moved(other: FFDNet) -> float:
        shift = functional.pixel_unshuffle(other(image, noise) - network(image, noise), 2).mean((0, 2, 3))
        return float(shift.abs().max())

    assert moved(found) < 0.2 * moved(rounded)
    stored = bundle.halved(network)
    assert [name for name, value in stored.items() if value.dtype != torch.half] == ["model.22.bias"]


def test_only_residual_networks_have_one_step_for_a_row_of_kernels(runs, tmp_path) -> None:
    bundle.bundle(tmp_path / "mine", enlarge=[runs / "x2", runs / "x4"], fill=runs / "fill", colorize=runs / "colorize")
    weights = load_file(tmp_path / "mine" / "model.safetensors")
    shapes = {name.removesuffix(STEPS): steps.shape for name, steps in weights.items() if name.endswith(STEPS)}
    for name, shape in shapes.items():
        residual = name.startswith(("enlargers.networks.4.", "filler.beyond."))
        assert shape == (len(weights[name]), 1 if residual else weights[name].shape[1], 1, 1)
    assert any(name.startswith("colorizer.") for name in shapes)


def test_the_networks_for_starts_are_small_and_the_card_tells_of_them(runs, tmp_path) -> None:
    card = bundle.bundle(tmp_path / "mine", enlarge=[runs / "x2"], fill=runs / "fill")
    assert read_card(tmp_path / "mine").skills == card.skills == Skills(enlarges=(2,), fills=True)
    assert card.max_noise == pytest.approx(75 / 255)
    trained = sum((runs / name / "ema.pt").stat().st_size for name in ("x2", "fill"))
    assert (tmp_path / "mine" / "model.safetensors").stat().st_size < 0.35 * trained


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_scale_of_a_run_is_read_from_its_weights(scale, tmp_path) -> None:
    torch.save(Enlarger(scale=scale, width=4, depth=12).state_dict(), tmp_path / "ema.pt")
    assert bundle.scale_of(tmp_path) == scale
    assert not bundle.is_dense(tmp_path)


@pytest.mark.parametrize("scale", [4, 8])
def test_a_dense_run_is_known_from_its_weights(scale, tmp_path) -> None:
    torch.save(dense_enlarger(scale).state_dict(), tmp_path / "ema.pt")
    assert bundle.scale_of(tmp_path) == scale
    assert bundle.is_dense(tmp_path)
