"""Starter networks in a prior's file: read, named on its card, and refused if the two differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
import torch
from torch import Tensor, nn

from deqir import PriorError, load_prior
from deqir.operators import Colorization, Composition, Inpainting, SuperResolution, masks
from deqir.priors import FFDNet, PriorCard, read_card, write_prior
from deqir.priors.directory import CARD
from deqir.priors.starters.eight_bit_weights import packed, unpacked
from deqir.priors.starters.filling import Filler
from deqir.priors.starters.starters import Skills, Starters, take_starters
from tests.deqir.priors.starters.starting import SHAPE
from tests.deqir.problems import rand

SKILLS: Final = Skills(enlarges=(2,), fills=True, colorizes=True)


@pytest.fixture(scope="module")
def full_size() -> dict[str, Tensor]:
    """Weights of networks for `SKILLS`."""
    torch.manual_seed(0)
    networks = Starters(SKILLS)
    assert networks.colorizer is not None
    nn.init.normal_(networks.colorizer.last.weight, std=0.05)
    return networks.state_dict()


def card_of(skills: Skills) -> PriorCard:
    return PriorCard(
        name="mine",
        kind="denoiser",
        sha256="",
        max_noise=0.3,
        architecture=SHAPE,
        enlarges=skills.enlarges,
        dense=skills.dense,
        fills=skills.fills,
        colorizes=skills.colorizes,
    )


def written(directory: Path, skills: Skills, own: dict[str, Tensor]) -> Path:
    """A prior with these weights beside its denoiser's."""
    torch.manual_seed(1)
    write_prior(directory, card_of(skills), FFDNet(**SHAPE).state_dict() | own)
    return directory


@pytest.mark.parametrize("bits", [16, 8])
def test_a_prior_is_read_with_its_networks(bits, tmp_path, full_size) -> None:
    held = packed(full_size) if bits == 8 else {name: weight.half() for name, weight in full_size.items()}
    prior = load_prior(str(written(tmp_path / "mine", SKILLS, held)), device="cpu")
    assert prior.starters is not None
    assert prior.starters.skills == SKILLS
    assert not any(network.training for network in prior.starters.modules())
    assert not any(weight.requires_grad for weight in prior.starters.parameters())
    rounded = Starters(SKILLS).eval().requires_grad_(False)
    rounded.load_state_dict({name: weight.float() for name, weight in unpacked(held).items()})
    y = rand(1, 1, 12, 12).clamp(-1, 1).float()
    old = Composition(parts=(Colorization(), SuperResolution(scale=2), Inpainting(keep=masks.random(12, 12, lost=0.3))))
    found, wanted = (networks.make_start(old, y, 0.1) for networks in (prior.starters, rounded))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_the_networks_are_taken_out_of_the_weights_of_the_file(full_size) -> None:
    weights = {"layers.0.weight": torch.zeros(1), **full_size}
    assert take_starters(weights, SKILLS) is not None
    assert list(weights) == ["layers.0.weight"]
    assert take_starters(weights, Skills()) is None
    assert list(weights) == ["layers.0.weight"]


@pytest.mark.parametrize(
    ("said", "held"),
    [
        (Skills(enlarges=(2, 4), fills=True, colorizes=True), ("enlargers", "filler", "colorizer")),
        (Skills(enlarges=(4,), fills=True, colorizes=True), ("enlargers", "filler", "colorizer")),
        (Skills(enlarges=(4,), dense=(4,), fills=True, colorizes=True), ("enlargers", "filler", "colorizer")),
        (Skills(fills=True, colorizes=True), ("filler",)),
        (Skills(fills=True, colorizes=True), ("colorizer",)),
        (Skills(fills=True), ()),
        (Skills(), ("filler",)),
        (Skills(fills=True), ("filler", "colorizer")),
    ],
    ids=["a scale more", "another scale", "dense", "colours too", "fills too", "fills", "says nothing", "says less"],
)
def test_a_file_that_holds_other_networks_than_the_card_says_is_refused(said, held, tmp_path, full_size) -> None:
    own = {name: weight for name, weight in full_size.items() if name.startswith(held)}
    directory = written(tmp_path / "mine", said, own)
    with pytest.raises(PriorError, match="do not fit the starter networks named on its card"):
        load_prior(str(directory), device="cpu")


def test_networks_of_another_size_are_refused(tmp_path) -> None:
    small = {f"filler.{name}": weight for name, weight in Filler(width=8, depth=3).state_dict().items()}
    directory = written(tmp_path / "mine", Skills(fills=True), small)
    with pytest.raises(PriorError, match="do not fit the starter networks named on its card"):
        load_prior(str(directory), device="cpu")


def test_cards_of_older_versions_tell_of_no_networks_and_older_versions_read_those_of_this_one(tmp_path) -> None:
    directory = written(tmp_path / "mine", Skills(), {})
    values = json.loads((directory / CARD).read_text(encoding="utf-8"))
    assert not {"enlarges", "dense", "fills", "colorizes"} & set(values)
    assert read_card(directory).skills == Skills()
    assert load_prior(str(directory), device="cpu").starters is None


@pytest.mark.parametrize(
    "skills",
    [Skills(enlarges=(2,)), Skills(enlarges=(2, 4), dense=(4,)), Skills(fills=True), Skills(colorizes=True), SKILLS],
)
def test_a_card_tells_of_its_networks_after_it_was_written(skills, tmp_path) -> None:
    assert read_card(written(tmp_path / "mine", skills, {})).skills == skills


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fills": 1}, "fills must be of type bool, got 1"),
        ({"fills": "yes"}, "fills must be of type bool, got 'yes'"),
        ({"colorizes": None}, "colorizes must be of type bool, got None"),
        ({"enlarges": [2, "4"]}, r"enlarges must be a list of whole numbers above 1, got \[2, '4'\]"),
        ({"enlarges": True}, r"enlarges must be of type Sequence\[int\], got True"),
        ({"enlarges": [2], "dense": [2]}, r"dense must be a list of 4 or 8, each also in enlarges, got \[2\]"),
        ({"enlarges": [4], "dense": [8]}, r"dense must be a list of 4 or 8, each also in enlarges, got \[8\]"),
        ({"enlarges": [4], "dense": 4}, r"dense must be of type Sequence\[int\], got 4"),
    ],
)
def test_cards_that_tell_of_networks_in_other_words_are_refused(change, says, tmp_path) -> None:
    path = written(tmp_path / "mine", Skills(), {}) / CARD
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(PriorError, match=says):
        read_card(path.parent)
