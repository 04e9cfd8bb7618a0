"""Masks keep the stated share on every platform, and refuse to keep nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir.operators import Inpainting, masks
from tests.conformance.dense import assert_conforms

SEEDED: Final[dict[str, Callable[..., Tensor]]] = {
    "random": masks.random,
    "box": masks.box,
    "dead_lines": masks.dead_lines,
    "scratches": masks.scratches,
}


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 40), st.integers(2, 40), st.floats(0, 0.85), st.integers(0, 9))
def test_the_share_that_is_lost_is_met_exactly(height, width, lost, seed) -> None:
    keep = masks.random(height, width, lost=lost, seed=seed)
    assert int((~keep).sum()) == round(lost * height * width)
    lines = (
        masks.dead_lines(height, width, lost=lost, vertical=False, seed=seed) if round(lost * height) < height else None
    )
    if lines is not None:
        assert int((~lines).all(1).sum()) == round(lost * height)
        assert bool((lines == lines[:, :1]).all())


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_decides_the_mask_and_another_seed_another_one(name) -> None:
    make = SEEDED[name]
    assert torch.equal(make(40, 30, seed=3), make(40, 30, seed=3))
    assert not torch.equal(make(40, 30, seed=3), make(40, 30, seed=4))


def test_a_box_is_one_hole_of_the_asked_size_inside_the_image() -> None:
    for seed in (None, *range(8)):
        gone = ~masks.box(20, 30, side=0.4, seed=seed)
        rows, columns = gone.any(1).nonzero(), gone.any(0).nonzero()
        assert len(rows) == 8
        assert len(columns) == 12
        assert int(gone.sum()) == 8 * 12
        assert int(rows.max() - rows.min()) == 7


def test_stripes_run_over_the_whole_image() -> None:
    keep = masks.stripes(7, 5, period=3, thickness=1)
    assert keep.tolist() == [[row % 3 < 2] * 5 for row in range(7)]
    assert torch.equal(masks.stripes(5, 7, period=3, thickness=1, vertical=True), keep.mT)


def test_text_covers_part_of_every_region_and_leaves_most() -> None:
    gone = (~masks.text(120, 160)).float()
    assert 0.05 < float(gone.mean()) < 0.5
    assert bool((torch.nn.functional.avg_pool2d(gone[None], 40)[0] > 0).all())
    assert not torch.equal(gone, (~masks.text(120, 160, words="other")).float())
    assert float((~masks.text(9, 400, words="a")).float().mean()) > 0


def test_scratches_are_thin_and_cross_the_image() -> None:
    keep = masks.scratches(128, 96, count=8)
    assert 0.005 < float((~keep).float().mean()) < 0.2
    assert float((~keep).any(1).float().mean()) > 0.5
    assert bool(masks.scratches(16, 16, count=0).all())
    assert masks.scratches(64, 64, thickness=5).sum() < masks.scratches(64, 64).sum()


def test_a_missing_channel_is_an_operator_like_any_other() -> None:
    keep = masks.channels(4, 6, known=(True, False, True))
    assert keep.shape == (3, 4, 6)
    assert_conforms(Inpainting(keep=keep), (3, 4, 6))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: masks.random(4, 4, lost=1.0), "leaves nothing of 16"),
        (lambda: masks.random(4, 4, lost=1.5), "from 0 to 1, got 1.5"),
        (lambda: masks.dead_lines(40, 3, lost=0.9), "leaves nothing of 3"),
        (lambda: masks.box(4, 4, side=1.0), "all of an image of 4 x 4"),
        (lambda: masks.box(4, 4, side=-0.1), "side is a share"),
        (lambda: masks.stripes(4, 4, period=2, thickness=2), "thickness < period"),
        (lambda: masks.text(4, 4, words=" "), "needs words"),
        (lambda: masks.text(4, 4, size=0), "at least 1 pixel"),
        (lambda: Inpainting(keep=masks.channels(4, 4, known=(False, False))), "inverted"),
    ],
)
def test_a_mask_that_cannot_be_is_refused(make, says) -> None:
    with pytest.raises(ValueError, match=says):
        make()
