"""Batches that other processes draw ahead of a run's steps."""

from __future__ import annotations

from functools import partial
from itertools import islice

import pytest
import torch

from training.ahead import Batch, Drawing
from training.data import Crops
from training.fill import Filling
from training.starting import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
RECIPE = Recipe(hours=1, batch=3, rate=1e-4, eyes=1)


def marked(crops: Crops) -> Batch:
    """Return a crop, and what torch's generator and this process make of a draw."""
    return crops.pixels(1, 40), torch.randint(2**62, ())


def test_no_two_processes_draw_the_same_and_another_seed_draws_otherwise(data) -> None:
    seen = list[Batch]()
    for seed in (1, 2):
        torch.manual_seed(seed)
        seen += islice(Drawing(draw=marked, data=data, turns=True).ahead(2, pinned=False), 8)
    assert len({int(draw) for _, draw in seen}) == len(seen)
    assert len({crop.numpy().tobytes() for crop, _ in seen}) == len(seen)


def test_the_same_seed_draws_the_same_batches_whether_they_are_waited_for_or_not(data) -> None:
    drawn = list[list[Batch]]()
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(list(islice(Drawing(draw=marked, data=data, turns=True).ahead(2, pinned=False), 5)))
    for one, other in zip(*drawn, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_gaps_are_the_same_kind_of_thing_wherever_they_are_drawn(data, workers) -> None:
    drawing = Drawing(draw=partial(Filling(size=32).drawn, recipe=RECIPE), data=data, turns=True)
    batches = drawing.ahead(workers, pinned=False) if workers else drawing.endless(drawing.crops(0))
    for pixels, keep in islice(batches, 3):
        assert (pixels.dtype, keep.dtype) == (torch.uint8, torch.bool)
        assert pixels.shape == keep.shape == (3, 3, 32, 32)
        assert pixels.float().std() > 1
