"""Streams that do not end: nobody waits for ever, and nothing piles up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from deqir import Engine, Request, Result, Settings
from deqir.engine.engine import CHAINS
from deqir.engine.scheduler import PATIENCE
from deqir.operators import Denoising
from tests.deqir.problems import rand, toy_denoiser

pytestmark = pytest.mark.slow

T, BATCH = 2, 4
SETTINGS = Settings(steps=T, denoiser_batch=BATCH)


def stream(*, rare: int, sigma_y: float = 0.1, step: float = 0.0) -> Iterator[Request[int]]:
    """Images of one size, but for one of them; the noise of each is `step` stronger than of the one before."""
    for n in itertools.count():
        y = rand(3, 6, 6) if n == rare else rand(3, 8, 8)
        yield Request(y=y, operator=Denoising(), seed=n, tag=n, sigma_y=sigma_y + n * step)


@pytest.mark.parametrize("rare", [0, 3])
def test_an_image_of_a_rare_size_comes_though_others_go_on_filling_their_batch(rare) -> None:
    most = (PATIENCE + 1) * T * BATCH // T + 10 * BATCH  # each of its steps is passed over at most so often
    results = itertools.islice(Engine(toy_denoiser, SETTINGS).run(stream(rare=rare)), most)
    assert rare in [result.tag for result in results]


def test_an_engine_keeps_few_chains_however_many_levels_of_noise_it_meets() -> None:
    engine = Engine(toy_denoiser, SETTINGS)
    endless = engine.run(stream(rare=-1, sigma_y=0.5, step=1e-3))
    for result in itertools.islice(endless, 2 * CHAINS):
        assert isinstance(result, Result)
    assert len(engine._chains) <= CHAINS
