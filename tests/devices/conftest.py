"""The device of these tests: the first GPU, or the stand-in of `tests.other_device` on a machine without a GPU.

DEQIR_TEST_DEVICE=cuda:1 chooses another GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from benchmarks.precisions import tf32
from deqir.linalg.dct import analyse
from tests.other_device import DEVICE


@pytest.fixture(scope="session")
def device() -> torch.device:
    name = os.environ.get("DEQIR_TEST_DEVICE", "cuda:0" if torch.cuda.is_available() else str(DEVICE))
    analyse(torch.zeros(1, 1, 8, 8, dtype=torch.float64, device=name))  # its cosines are kept for all
    return torch.zeros((), device=name).device


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """The device, if it is a GPU."""
    if device.type != "cuda":
        pytest.skip("only a GPU has this")
    return device


@pytest.fixture
def stand_in(device: torch.device) -> torch.device:
    """The device, if it is the stand-in."""
    if device.type == "cuda":
        pytest.skip("only the stand-in has this")
    return device


@pytest.fixture(autouse=True)
def _single_precision(device: torch.device) -> Iterator[None]:
    """Products and convolutions of float32 are taken in float32, as the CPU takes them."""
    with tf32(False):
        yield
