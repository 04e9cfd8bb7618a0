"""The GPU that these tests ask: the first, or the one that DEQIR_TEST_DEVICE names.

DEQIR_TEST_DEVICE=other has the stand-in of `tests.other_device` answer, to try out the tests themselves without a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from benchmarks.precisions import tf32
from deqir.linalg.dct import analyse


@pytest.fixture(scope="session")
def device() -> torch.device:
    found = torch.device(os.environ.get("DEQIR_TEST_DEVICE", "cuda:0"))
    if found.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    analyse(torch.zeros(1, 1, 8, 8, dtype=torch.float64, device=found))  # its cosines are kept for all
    return torch.zeros((), device=found).device


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """The device, for what the stand-in has not."""
    if device.type != "cuda":
        pytest.skip("only a GPU has this")
    return device


@pytest.fixture(autouse=True)
def _single_precision(device: torch.device) -> Iterator[None]:
    """Products and convolutions of float32 are taken in float32, as the CPU takes them."""
    with tf32(False):
        yield
