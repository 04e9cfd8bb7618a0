"""Every operator in every chain: every solver finds the sequential chain, with exact and with noisy data."""

from __future__ import annotations

from typing import Final

import pytest
import torch

from deqir import Anderson, Picard
from deqir.fixed_point.joint_map import JointMap
from deqir.protocols import FixedPointSolver, SpectralOperator
from deqir.restore import SURROGATES
from tests.conformance.examples import EXAMPLES
from tests.deqir.problems import make_sampler

pytestmark = pytest.mark.slow

SOLVERS: Final[dict[str, FixedPointSolver]] = {"picard": Picard(tol=1e-11), "anderson": Anderson(tol=1e-11)}
EXACT_AND_NOISY: Final = [
    pytest.param(A, shape, sigma_y, id=f"{name}-{'noisy' if sigma_y else 'exact'}")
    for name, (A, shape) in EXAMPLES.items()
    for sigma_y in (0.0, 0.1)
    if not sigma_y or isinstance(A, SpectralOperator)
]


@pytest.mark.parametrize(("A", "shape", "sigma_y"), EXACT_AND_NOISY)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_with_every_surrogate_finds_the_sequential_chain(A, shape, sigma_y, surrogate, solver) -> None:
    sampler = make_sampler(A, shape=shape, steps=4, sigma_y=sigma_y)
    exact = torch.stack(list(sampler.sequential(sampler.initial())), 1)
    found = SOLVERS[solver](JointMap(sampler, SURROGATES[surrogate]), sampler.frozen())
    torch.testing.assert_close(found.value, exact, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("A", "shape", "sigma_y"), EXACT_AND_NOISY)
def test_exact_data_are_kept_and_noisy_data_are_not(A, shape, sigma_y) -> None:
    """The end of an exact chain agrees with A^+ y on the part seen by A; noise leaves room to disagree."""
    sampler = make_sampler(A, shape=shape, steps=4, sigma_y=sigma_y)
    gap = A.pinv(A(sampler.end(sampler.initial()))) - sampler.pinv_y
    if sigma_y:
        assert float(gap.abs().max()) > 1e-3
    else:
        assert float(gap.abs().max()) < 1e-7
