"""The scheduler's work and its batches, through the engine."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
import torch

from deqir import Engine, Request, Settings
from deqir.engine import scheduler
from deqir.operators import Colorization, SuperResolution
from deqir.protocols import LinearOperator
from tests.deqir.problems import toy_denoiser

OPERATORS: tuple[LinearOperator, ...] = (SuperResolution(scale=2), Colorization())


def opcodes(images: int, *, batch: int, shapes: int) -> int:
    """Bytecode instructions that the scheduler runs for a stream of images."""
    count = 0

    def counting(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != scheduler.__file__:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return counting

    requests = (
        Request(y=torch.zeros(3, 2, 2 * (1 + n % shapes)), operator=OPERATORS[0], seed=n, tag=n) for n in range(images)
    )
    before = sys.gettrace()
    sys.settrace(counting)
    try:
        results = list(Engine(toy_denoiser, Settings(steps=1, denoiser_batch=batch)).run(requests))
    finally:
        sys.settrace(before)
    assert len(results) == images
    return count


@pytest.mark.parametrize("shapes", [1, 5])
def test_the_work_of_filling_a_batch_grows_with_its_images_and_no_faster(shapes) -> None:
    """An image may cost less in a larger batch, as each round has a fixed part, but not more."""
    an_image = [opcodes(batch, batch=batch, shapes=shapes) / batch for batch in (32, 64, 128)]
    assert 0 < an_image[2] <= an_image[1] <= an_image[0]
