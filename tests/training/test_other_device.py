"""Training on a device that is not the CPU; see `tests.other_device` for what stands in for CUDA."""

from __future__ import annotations

import pytest

from deqir.priors import FFDNet
from deqir.priors.starters.enlarging import Enlarger
from tests.other_device import DEVICE, OURS_ALONE, traffic
from training import enlarge, fill
from training.colorize import Colorizing
from training.enlarge import Enlarging
from training.fill import Filling
from training.starting import Lesson, Recipe, Run

pytestmark = [OURS_ALONE, pytest.mark.usefixtures("lpips")]
RECIPE = Recipe(hours=1e-9, batch=3, rate=1e-3, eyes=0.1, rise=1)
LESSONS: dict[str, Lesson] = {
    "fill": Filling(size=32, held=64),
    "enlarge": Enlarging(scale=2, small=20, calibration=2),
    "colorize": Colorizing(size=64, held=64),
}


@pytest.mark.parametrize(
    ("name", "asks"), [("fill", {"fill", "diffused_fill"}), ("enlarge", set()), ("colorize", set())]
)
def test_a_step_sends_its_batch_and_waits_for_nothing_but_whether_gaps_are_left(
    name, asks, data, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(fill, "ffdnet", lambda: FFDNet(width=8, depth=6))
    monkeypatch.setattr(enlarge, "published", lambda scale: Enlarger(scale=scale, width=8, depth=3))
    run = Run(tmp_path, LESSONS[name], RECIPE, data, device=DEVICE)
    run.train()
    assert run.progress.step == 1
    batches = run.batches()
    for _ in range(8):  # in which both filters are drawn, whose matrices are sent once
        batch = tuple(part.pin_memory() for part in next(batches))
        with traffic() as asked:
            run._one_step(batch, 0.5)
    assert {wait.split()[-1] for wait in asked.waits} == asks
    assert not asked.uploads
    assert len(asked.streamed) == len(batch)
