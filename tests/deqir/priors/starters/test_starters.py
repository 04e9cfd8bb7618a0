"""Starter networks: their tasks and their order."""

from __future__ import annotations

from typing import Final

import pytest
import torch
from torch import Tensor, nn

from deqir import Engine, Restorer
from deqir.engine.chain_start import span_of
from deqir.engine.requests import Request, StartKind
from deqir.operators import (
    Colorization,
    Composition,
    Denoising,
    Inpainting,
    KernelSuperResolution,
    SeparableDeblurring,
    SuperResolution,
    kernels,
    masks,
)
from deqir.priors import PriorCard
from deqir.priors.starters.colorizing import Colorizer
from deqir.priors.starters.enlarging import MOST_NOISE, Enlarger
from deqir.priors.starters.filling import Filler
from deqir.priors.starters.starters import Skills, Starters
from deqir.protocols import LinearOperator
from deqir.settings import Defaults, Settings
from tests.deqir.priors.starters.starting import prior_with, starters
from tests.deqir.problems import rand

ALL: Final = Skills(enlarges=(2, 4), fills=True, colorizes=True)
KEEP: Final = masks.random(12, 12, lost=0.3)
GREY, TWICE, BLUR = Colorization(), SuperResolution(scale=2), SeparableDeblurring(kernel=kernels.gaussian(1.0))
GAPS, MOSAIC = Inpainting(keep=KEEP), Inpainting(keep=rand(3, 12, 12) > 0)
OLD: Final = Composition(parts=(GREY, TWICE, GAPS))


def chain(*parts: LinearOperator) -> Composition:
    return Composition(parts=parts)


KNOWN: Final[dict[str, tuple[Skills, LinearOperator, list[type]]]] = {
    "gaps": (Skills(fills=True), GAPS, [Inpainting]),
    "grey": (Skills(colorizes=True), GREY, [Colorization]),
    "pooled": (Skills(enlarges=(2,)), TWICE, [SuperResolution]),
    "made small by a known filter": (Skills(enlarges=(2,)), KernelSuperResolution(scale=2), [KernelSuperResolution]),
    "old photograph": (ALL, OLD, [Inpainting, SuperResolution, Colorization]),
    "old photograph, grey last": (ALL, chain(TWICE, GAPS, GREY), [Inpainting, SuperResolution, Colorization]),
    "gaps in grey": (ALL, chain(GREY, GAPS), [Inpainting, Colorization]),
    "gaps, then grey": (ALL, chain(GAPS, GREY), [Inpainting, Colorization]),
    "gaps in pooled": (ALL, chain(TWICE, GAPS), [Inpainting, SuperResolution]),
    "pooled, what does nothing in between": (ALL, chain(TWICE, Denoising(), GAPS), [Inpainting, SuperResolution]),
    "pooled twice": (ALL, chain(SuperResolution(scale=4), TWICE), [SuperResolution, SuperResolution]),
}
UNKNOWN: Final[dict[str, tuple[Skills, LinearOperator]]] = {
    "no skills": (Skills(), OLD),
    "nothing that fills": (Skills(enlarges=(2,), colorizes=True), GAPS),
    "nothing that fills, among others": (Skills(enlarges=(2,), colorizes=True), OLD),
    "nothing that enlarges, among others": (Skills(fills=True, colorizes=True), OLD),
    "nothing that colours": (Skills(enlarges=(2, 4), fills=True), GREY),
    "nothing that colours, grey and pooled": (Skills(enlarges=(2,)), chain(GREY, TWICE)),
    "nothing that colours, grey with gaps": (Skills(fills=True), chain(GREY, GAPS)),
    "gaps of each channel": (ALL, MOSAIC),
    "another scale": (ALL, SuperResolution(scale=3)),
    "two scales": (ALL, SuperResolution(scale=(2, 4))),
    "another filter": (ALL, KernelSuperResolution(scale=2, kernel=kernels.gaussian(1.0))),
    "noise alone": (ALL, Denoising()),
    "nothing, put together": (ALL, chain(Denoising())),
    "blurred": (ALL, BLUR),
    "grey and blurred": (ALL, chain(GREY, BLUR)),
    "gaps that were pooled": (ALL, chain(GAPS, TWICE)),
    "gaps in gaps": (ALL, chain(GAPS, Inpainting(keep=KEEP.flip(0)))),
    "gaps of each channel that were greyed": (ALL, chain(MOSAIC, GREY)),
    "gaps that were pooled, with others after": (
        ALL,
        chain(GAPS, TWICE, Inpainting(keep=masks.random(6, 6, lost=0.3))),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_parts_that_are_known_are_undone_last_to_first_and_masks_before_all(name) -> None:
    skills, A, kinds = KNOWN[name]
    assert [type(part) for part in skills.undone(A)] == kinds
    assert skills.makes_start(A)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_they_do_not_know_starts_as_without_them(name) -> None:
    skills, A = UNKNOWN[name]
    assert not skills.undone(A)
    networks = starters(skills)
    prior, plain = prior_with(networks), prior_with(None)
    y = A(rand(1, 3, 24, 24).float()) if A is OLD else A(rand(1, 3, 12, 12).float())
    assert networks.make_start(A, y, 0.0) is None
    assert not prior.makes_start(A)
    found, wanted = (Restorer(one, steps=2, denoiser_batch=1)(y, A, seed=3) for one in (prior, plain))
    assert torch.equal(found.images, wanted.images)


@pytest.mark.parametrize("name", [*KNOWN, *UNKNOWN])
def test_a_card_tells_of_starts_as_its_prior_does(name) -> None:
    skills, A = (KNOWN | UNKNOWN)[name][:2]
    card = PriorCard(
        name="mine",
        kind="denoiser",
        sha256="",
        max_noise=0.3,
        enlarges=list(skills.enlarges),
        dense=list(skills.dense),
        fills=skills.fills,
        colorizes=skills.colorizes,
    )
    assert card.makes_start(A) == prior_with(starters(skills)).makes_start(A) == (name in KNOWN)


def parts_of(networks: Starters) -> tuple[Filler, Enlarger, Colorizer]:
    """The networks of `ALL`, with the enlarger for scale 2."""
    assert networks.filler is not None
    assert networks.enlargers is not None
    assert networks.colorizer is not None
    enlarger = networks.enlargers.networks["2"]
    assert isinstance(enlarger, Enlarger)
    return networks.filler, enlarger, networks.colorizer


@pytest.mark.parametrize("sigma_y", [0.0, 0.1])
@pytest.mark.parametrize("weights", [GREY.weights, (1 / 3, 1 / 3, 1 / 3)])
def test_an_old_photograph_is_filled_then_enlarged_then_coloured(sigma_y, weights) -> None:
    networks = starters(ALL)
    filler, enlarger, colorizer = parts_of(networks)
    grey = Colorization(weights=weights)
    y = rand(2, 1, 12, 12).clamp(-1, 1).float()
    filled = filler.make_start(y, KEEP, sigma_y * 3**0.5)
    enlarged = enlarger(filled.expand(-1, 3, -1, -1), 0, torch.zeros(2)).mean(1, keepdim=True)
    found = networks.make_start(chain(grey, TWICE, GAPS), y, sigma_y)
    assert found is not None
    torch.testing.assert_close(found, colorizer.make_start(enlarged, weights))
    torch.testing.assert_close(grey(found), enlarged, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [
        ("old photograph", Filler, [Enlarger]),
        ("gaps in grey", Filler, []),
        ("grey", Filler, []),
        ("pooled twice", Enlarger, [Enlarger]),
    ],
)
def test_only_the_first_is_told_of_noise_for_then_there_is_none_left(name, first, then) -> None:
    """The filler is called at several sizes; the last is the image's own."""
    _, A, _ = KNOWN[name]
    networks, asked = starters(ALL), list[tuple[type[nn.Module], float]]()

    def note(network: nn.Module, given: tuple[Tensor, object, Tensor]) -> None:
        asked.append((type(network), float(given[2][0])))

    for network in networks.modules():
        if isinstance(network, Filler | Enlarger):
            network.register_forward_pre_hook(note)
    y = A(rand(1, 3, 24, 24).float()) if "gaps" not in name and A is not OLD else rand(1, 1, 12, 12).float()
    networks.make_start(A, y, 0.1)
    at_first = asked[: len(asked) - len(then)]
    assert {kind for kind, _ in at_first} == {first}
    assert at_first[-1][1] == pytest.approx(0.05 * (3**0.5 if y.shape[1] == 1 else 1))
    assert asked[len(at_first) :] == [(kind, 0.0) for kind in then]


def test_noise_is_taken_out_of_a_grey_image_before_it_is_coloured_where_there_is_a_network_for_that() -> None:
    both, lone = starters(Skills(fills=True, colorizes=True)), starters(Skills(colorizes=True))
    assert both.filler is not None
    assert lone.colorizer is not None
    y, nothing_lost = rand(2, 1, 12, 14).float(), torch.ones(12, 14, dtype=torch.bool)
    clean = both.filler.make_start(y, nothing_lost, 0.1 * 3**0.5)
    for networks, sigma_y, grey in ((both, 0.1, clean), (both, 0.0, y), (lone, 0.1, y)):
        found = networks.make_start(GREY, y, sigma_y)
        assert found is not None
        torch.testing.assert_close(found, lone.colorizer.make_start(grey))


def test_half_of_the_noise_that_the_network_for_enlarging_does_not_know_is_taken_out_before() -> None:
    networks, y, sigma_y = starters(ALL), rand(1, 3, 12, 14).float(), 2.1 * MOST_NOISE
    assert networks.filler is not None
    assert networks.enlargers is not None
    clean = networks.filler.make_start(y, torch.ones(12, 14, dtype=torch.bool), sigma_y)
    found = networks.make_start(TWICE, y, sigma_y)
    assert found is not None
    torch.testing.assert_close(found, networks.enlargers.make_start(TWICE, (y + clean) / 2, sigma_y / 2))


HOLED: Final = masks.box(48, 48, side=1 / 3)
LINED: Final = masks.stripes(48, 48, period=12, thickness=7)


def lost(height: int, width: int, *, top: int, left: int, side: int) -> Tensor:
    """A square gap."""
    keep = torch.ones(height, width, dtype=torch.bool)
    keep[top : top + side, left : left + side] = False
    return keep


@pytest.mark.parametrize(
    ("A", "wide"),
    [
        (Inpainting(keep=HOLED), True),
        (Inpainting(keep=LINED), False),
        (Inpainting(keep=HOLED | masks.random(48, 48, lost=0.9)), False),
        (chain(GREY, Inpainting(keep=HOLED)), True),
        (chain(GREY, Inpainting(keep=LINED)), False),
        (TWICE, False),
        (GREY, False),
        (Inpainting(keep=lost(64, 64, top=17, left=21, side=8)), True),
        (Inpainting(keep=lost(64, 64, top=17, left=21, side=7)), False),
        (Inpainting(keep=lost(64, 64, top=17, left=21, side=31)), True),
        (Inpainting(keep=lost(64, 64, top=17, left=21, side=32)), False),
        (Inpainting(keep=lost(65, 65, top=64, left=64, side=1)), False),
        (Inpainting(keep=masks.random(129, 65, lost=0.7)), False),
        (Inpainting(keep=lost(5, 40, top=0, left=3, side=8)), True),
        (Inpainting(keep=lost(5, 40, top=0, left=3, side=7)), False),
    ],
    ids=[
        "a hole",
        "lines",
        "a hole with crumbs",
        "a hole in grey",
        "lines in grey",
        "pooled",
        "grey",
        "off the grid",
        "just not",
        "just",
        "vast",
        "a corner",
        "odd sides",
        "low",
        "low, just not",
    ],
)
def test_chains_are_short_but_where_gaps_are_wide(A, wide) -> None:
    prior, settings = prior_with(starters(ALL)), Settings(steps=20)
    own, made, given = StartKind.OWN, StartKind.MADE, StartKind.GIVEN
    short = (Defaults.MADE_NOISE, Defaults.MADE_END, Defaults.MADE_STEPS, made)
    long = (Defaults.GIVEN_NOISE, Defaults.END_NOISE, 20)
    assert span_of(settings, A, prior, given=False)[:4] == ((*long, made) if wide else short)
    assert span_of(settings, A, prior, given=True)[:4] == (*long, given)
    assert span_of(Settings(faithful=True), A, prior, given=False, sigma_y=0.1)[:4] == (*long, made)
    assert span_of(settings, A, prior_with(None), given=False)[:4] == (A.start_noise, Defaults.END_NOISE, 20, own)
    assert span_of(Settings(start_noise=0.1), A, prior, given=False)[:4] == (0.1, Defaults.END_NOISE, 20, made)


def test_images_neither_grey_nor_in_colour_are_refused() -> None:
    with pytest.raises(ValueError, match=r"starter networks take images in grey or colour, got 2 channels"):
        starters(ALL).make_start(GAPS, torch.zeros(1, 2, 12, 12), 0.0)


@pytest.mark.parametrize("name", ["gaps", "grey", "old photograph", "gaps, then grey"])
def test_chains_start_from_what_they_make_moved_to_agree_with_y(name) -> None:
    _, A, _ = KNOWN[name]
    networks, x = starters(ALL), rand(1, 3, *((24, 24) if A is OLD else (12, 12))).clamp(-1, 1).float()
    engine, y = Engine(prior_with(networks), Settings(steps=2, denoiser_batch=1)), A(x)
    made = networks.make_start(A, y, 0.0)
    assert made is not None
    start = engine.sampler(Request(y=y[0], operator=A, seed=0, tag=0)).start
    torch.testing.assert_close(A(start), y, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(start - A.pinv(A(start)), made - A.pinv(A(made)), atol=1e-5, rtol=1e-5)
    noisy = engine.sampler(Request(y=y[0], operator=A, seed=0, tag=0, sigma_y=0.1)).start
    torch.testing.assert_close(noisy, networks.make_start(A, y, 0.1))


def test_the_published_algorithm_starts_as_published() -> None:
    y = GAPS(rand(1, 3, 12, 12).float())
    found, wanted = (
        Restorer(one, steps=2, mode="paper")(y, GAPS, seed=3) for one in (prior_with(starters(ALL)), prior_with(None))
    )
    assert torch.equal(found.start, wanted.start)
