"""The last step: inside [-1, 1], in agreement with exact data, and never further from the original."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqir import Request, Restorer, Settings
from deqir.engine.engine import Engine
from deqir.operators import Colorization, ConvergenceError, Inpainting, KernelSuperResolution, SuperResolution
from deqir.protocols import LinearOperator
from deqir.sampling.last_step import within_range
from tests.deqir.problems import KEEP, rand

LEVEL = 2 / 255
DISJOINT: dict[str, LinearOperator] = {
    "sr4": SuperResolution(scale=4),
    "inpaint": Inpainting(keep=KEEP),
    "colorize": Colorization(),
}


def text(*, count: int = 3) -> Tensor:
    """Black and white blots of 2 x 3 pixels, a third of them black, and an image of greys near white."""
    blots = (rand(count, 3, 4, 4, seed=8) > -0.4).double() * 2 - 1
    return torch.cat(
        [blots.repeat_interleave(2, 2).repeat_interleave(3, 3), 0.9 + 0.1 * rand(1, 3, 8, 12).clamp(-1, 1)]
    )


@pytest.fixture(params=DISJOINT)
def A(request: pytest.FixtureRequest) -> LinearOperator:
    return DISJOINT[str(request.param)]


def overshooting(A: LinearOperator, original: Tensor) -> Tensor:
    """An image that agrees with the original's y, and leaves [-1, 1]."""
    x = original + 0.5 * rand(*original.shape, seed=5)
    return x + A.pinv(A(original) - A(x))


def test_the_result_agrees_with_exact_data_and_is_no_further_from_the_original(A) -> None:
    for original in text():
        original = original[None]
        x = overshooting(A, original)
        found = within_range(A, x, A.pinv(A(original)), exact=True)
        assert float(found.abs().max()) <= 1
        assert float((A(found) - A(original)).abs().max()) <= LEVEL / 4
        clamped = x.clamp(-1, 1)
        assert float((found - original).norm()) <= float((clamped - original).norm()) + 1e-9


def test_block_means_give_the_nearest_image_inside_the_range() -> None:
    """The projection onto a mean inside a box adds one number to each pixel of a block and clamps; by bisection."""
    A, original = SuperResolution(scale=4), text()[:1]
    x = overshooting(A, original)
    found = within_range(A, x, A.pinv(A(original)), exact=True)
    low, high = torch.full_like(A(x), -3), torch.full_like(A(x), 3)
    for _ in range(60):
        middle = (low + high) / 2
        dark = A((x.clamp(-1, 1) + A.pinv(middle)).clamp(-1, 1)) < A(original)
        low, high = torch.where(dark, middle, low), torch.where(dark, high, middle)
    nearest = (x.clamp(-1, 1) + A.pinv(low)).clamp(-1, 1)
    torch.testing.assert_close(found, nearest, rtol=0, atol=8 * LEVEL)  # a quarter of a level may stay in each mean


def test_an_image_inside_the_range_is_returned_and_costs_nothing() -> None:
    class Uncalled:
        """An operator that may not be called."""

        start_noise = 0.3

        def __call__(self, x: Tensor) -> Tensor:
            raise AssertionError

        image_shape = adjoint = pinv = start = guess = __call__

    x = text()[:1] * 0.9
    for exact in (True, False):
        torch.testing.assert_close(within_range(Uncalled(), x, x, exact=exact), x, rtol=0, atol=0)  # type: ignore[arg-type]


def test_noisy_data_are_clamped_only(A) -> None:
    x = overshooting(A, text()[:1])
    torch.testing.assert_close(within_range(A, x, A.pinv(A(x)), exact=False), x.clamp(-1, 1))


def test_data_that_no_image_inside_the_range_explains_are_met_as_near_as_found() -> None:
    A = KernelSuperResolution(scale=4)
    y = text()[:1, :, :2, :3]
    x = A.start(y) + 0.3 * rand(1, 3, 8, 12, seed=2)
    found = within_range(A, x, A.pinv(y), exact=True)
    assert float(found.abs().max()) <= 1
    assert float((A(found) - y).norm()) <= float((A(x.clamp(-1, 1)) - y).norm())


@pytest.mark.parametrize("mode", ["throughput", 3, "latency"])
def test_restored_images_are_written_as_they_are_measured(mode) -> None:
    """The engine's images are inside the range, and their data consistency is that of the clamped image."""
    A, y = SuperResolution(scale=2), SuperResolution(scale=2)(text())
    restorer = Restorer(lambda x, a: 0.5 * x, steps=4, start_noise=0.3, mode=mode, tolerance=1e-9)
    found = restorer(y, A)
    loose = Restorer(lambda x, a: 0.5 * x, steps=4, start_noise=0.3, mode=mode, tolerance=1e-9, within_range=False)(
        y, A
    )
    assert float(loose.images.abs().max()) > 1.05
    assert float(found.images.abs().max()) <= 1
    assert float((A(found.images) - y).abs().max()) <= LEVEL / 4
    for image, own, stats in zip(found.images, y, found.stats, strict=True):
        misfit = float((A(image[None])[0] - own).norm() / own.norm())
        torch.testing.assert_close(stats.data_consistency, misfit, rtol=1e-6, atol=1e-9)


def test_an_image_whose_operator_fails_at_the_end_is_clamped() -> None:
    pool, calls = SuperResolution(scale=2), list[int]()

    class Tiring:
        """Fails after so many calls of A^+."""

        start_noise = 0.3
        image_shape, adjoint, start, guess = pool.image_shape, pool.adjoint, pool.start, pool.guess

        def __call__(self, x: Tensor) -> Tensor:
            return pool(x)

        def pinv(self, y: Tensor) -> Tensor:
            calls.append(1)
            if len(calls) > 3:  # one for y, two for the steps
                raise ConvergenceError("tired")
            return pool.pinv(y)

    request = Request(y=pool(text())[0], operator=Tiring(), seed=1, tag=0)
    (result,) = Engine(lambda x, a: 0.5 * x, Settings(steps=2)).run([request])
    assert len(calls) == 4
    assert float(result.image.abs().max()) <= 1  # type: ignore[union-attr]
