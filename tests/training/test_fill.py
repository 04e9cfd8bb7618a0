"""The lesson of the network that fills gaps, at a tiny size: where it begins, what gaps it is shown, what it learns."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from deqir.priors import FFDNet
from deqir.priors.starters.filling import Filler
from tests.training.photographs import learn
from training import fill
from training.fill import GAP_NOISE, Filling, beginner, gaps
from training.starting import Recipe, Run

RECIPE = Recipe(hours=3 / 3600, batch=2, rate=3e-3, eyes=0.1, rise=5, every=1)


def denoiser() -> FFDNet:
    torch.manual_seed(0)
    return FFDNet(width=8, depth=6)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, lpips: object) -> None:
    """Runs begin with a small network."""
    monkeypatch.setattr(fill, "ffdnet", denoiser)


@torch.no_grad()
def test_the_beginner_does_with_noise_what_ffdnet_does_and_with_gaps_what_it_does_with_more_noise() -> None:
    network, x, noise = denoiser(), torch.rand(2, 3, 12, 16), torch.tensor([0.05, 0.15])
    filler, y = beginner(network), 2 * x - 1
    torch.testing.assert_close(filler(y, torch.zeros_like(y), noise), 2 * network(x, noise) - 1)
    torch.testing.assert_close(filler(y, torch.ones_like(y), noise), 2 * network(x, noise + GAP_NOISE) - 1)
    whole = torch.ones(12, 16, dtype=torch.bool)
    torch.testing.assert_close(filler.make_start(y[:1], whole, 0.1), 2 * network(x, noise)[:1] - 1)


def kind_of(keep: Tensor) -> str:
    """Return what kind of damage a mask looks like."""
    if not torch.equal(keep[0], keep[1]):
        return "pixels of each channel"
    plane = keep[0]
    for lines, upright in ((plane, False), (plane.mT, True)):
        if torch.equal(lines[:, :1].expand_as(lines), lines):
            line = lines[14:, 0]  # stripes are moved by at most as much
            periodic = any(torch.equal(line[period:], line[:-period]) for period in range(3, 15))
            return f"{'stripes' if periodic else 'lines'} {'down' if upright else 'across'}"
    if sum(len(set(map(tuple, lines.tolist()))) for lines in (plane, plane.mT)) <= 2 * (2 * 6 + 1):  # of six boxes
        return "boxes"
    known = float(plane.float().mean())
    by_chance = known**2 + (1 - known) ** 2
    alike = torch.cat([(lines[1:] == lines[:-1]).flatten() for lines in (plane, plane.mT)]).float().mean()
    return "marks" if float(alike) > by_chance + 0.1 * (1 - by_chance) else "pixels"


def test_gaps_are_of_every_kind_and_leave_something() -> None:
    torch.manual_seed(0)
    drawn = [gaps(96) for _ in range(500)]
    assert all(keep.shape == (3, 96, 96) and keep.any() and not keep.all() for keep in drawn)
    seen = Counter(kind_of(keep) for keep in drawn)
    shares = {
        "pixels of each channel": 0.05,
        "pixels": 0.20,
        "stripes across": 0.11,
        "stripes down": 0.11,
        "lines across": 0.025,
        "lines down": 0.025,
        "boxes": 0.26,
        "marks": 0.22,
    }
    for kind, share in shares.items():
        spread = (share * (1 - share) / len(drawn)) ** 0.5
        assert seen.pop(kind) / len(drawn) == pytest.approx(share, abs=3.5 * spread + 0.01), kind
    assert not seen


def test_the_same_seed_draws_the_same_gaps_and_another_seed_others() -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.stack([gaps(32) for _ in range(10)])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


@pytest.mark.usefixtures("small")
def test_learning_lowers_the_error_of_every_kind_of_gap(data, tmp_path) -> None:
    run = Run(tmp_path, Filling(size=32, held=64), RECIPE, data, device=torch.device("cpu"))
    before = run.judged()[::2]
    learn(run, 120)
    for name, begun, learnt in zip(run.lesson.shown, before, run.judged()[::2], strict=True):
        assert float(learnt) > float(begun) + 1, name


@pytest.mark.usefixtures("small")
def test_a_run_begins_with_what_an_earlier_one_had_learnt_of_its_layers() -> None:
    torch.manual_seed(1)
    earlier = {name: torch.randn_like(value) for name, value in Filler(width=8, depth=6).layers.state_dict().items()}
    network = Filling().network({f"layers.{name}": value for name, value in earlier.items()})
    assert isinstance(network, Filler)
    torch.testing.assert_close(dict(network.layers.state_dict()), earlier)
    (further,) = network.beyond.values()
    h = torch.randn(1, 8, 6, 6)
    assert torch.equal(further(h), h)


@pytest.mark.usefixtures("small")
def test_the_command_trains_a_filler(data, tmp_path, monkeypatch) -> None:
    chosen = ["--size", "32", "--batch", "1", "--hours", "1e-9"]
    monkeypatch.setattr("sys.argv", ["fill", str(tmp_path), "--data", str(data), *chosen])
    fill.main()
    Filler(width=8, depth=6).load_state_dict(torch.load(tmp_path / "ema.pt", weights_only=True))
