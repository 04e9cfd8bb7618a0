"""Pictures without structure: there is nothing to suspect, and nothing to restore."""

from __future__ import annotations

import pytest
import torch

from deqir.estimation import check_fit
from deqir.operators import KernelSuperResolution, SuperResolution

from .archives import flat, levels
from .runs import decoded, restore


def test_enlarging_them_raises_no_suspicion(tmp_path) -> None:
    ends = restore(tmp_path, flat(), task="sr", scale=4)
    assert {key: end.row.status for key, end in ends.items()} == dict.fromkeys(ends, "restored")
    assert not any(end.row.operator_suspect for end in ends.values())


@pytest.mark.parametrize("key", flat())
@pytest.mark.parametrize("operator", [SuperResolution(scale=4), KernelSuperResolution(scale=4)])
def test_the_check_of_the_degradation_has_no_opinion(key, operator) -> None:
    pixels = torch.from_numpy(levels(decoded(flat()[key]).convert("RGB"))).permute(2, 0, 1) / 127.5 - 1
    assert check_fit(pixels.float(), operator) is None


def test_they_are_left_as_they_are(tmp_path) -> None:
    ends = restore(tmp_path, flat(), task="auto")
    assert {key: end.row.status for key, end in ends.items()} == dict.fromkeys(ends, "unchanged")
    assert all(end.output == end.source for end in ends.values())
