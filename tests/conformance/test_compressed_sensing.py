"""Compressed sensing: orthonormal for any size of image, with a start far better than A^+ y."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir.operators import BlockSensing, WalshHadamardSensing
from deqir.protocols import SpectralOperator
from tests.conformance.dense import assert_conforms, close, dense
from tests.deqir.problems import rand

SHARES = st.floats(0.01, 1.0)


@st.composite
def sensings(draw: st.DrawFn) -> SpectralOperator:
    share, seed = draw(SHARES), draw(st.integers(0, 3))
    if draw(st.booleans()):
        return WalshHadamardSensing(share=share, seed=seed)
    return BlockSensing(share=share, block=draw(st.integers(1, 5)), seed=seed)


@settings(deadline=None, max_examples=40)
@given(sensings(), st.integers(1, 2), st.integers(1, 9), st.integers(1, 9))
def test_it_conforms_at_any_size(A, channels, height, width) -> None:
    assert_conforms(A, (channels, height, width))


@settings(deadline=None, max_examples=20)
@given(sensings(), st.integers(1, 9), st.integers(1, 9))
def test_the_rows_are_orthonormal_and_the_mean_of_the_image_is_seen(A, height, width) -> None:
    matrix = dense(A, (1, height, width))
    gram = matrix @ matrix.mT
    close(gram, torch.diag(gram.diagonal().round()))
    if isinstance(A, BlockSensing):
        flat = torch.ones(1, 1, height, width, dtype=torch.float64)
        close(A.pinv(A(flat)), flat)


@pytest.mark.parametrize("n", [1, 2, 8, 64, 512, 2048])
def test_a_power_of_two_is_transformed_by_the_walsh_hadamard_matrix(n) -> None:
    sylvester = torch.ones(1, 1, dtype=torch.float64)
    while len(sylvester) < n:
        sylvester = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64), sylvester)
    some = torch.arange(0, n, max(1, n // 64))
    basis = torch.zeros(len(some), 1, 1, n, dtype=torch.float64)
    basis[torch.arange(len(some)), 0, 0, some] = 1
    y = WalshHadamardSensing(share=1.0)(basis).flatten(1)
    columns = {tuple(column) for column in (sylvester / math.sqrt(n)).sign().int().tolist()}
    close(y.abs(), torch.full_like(y, 1 / math.sqrt(n)))
    assert {tuple(row) for row in y.sign().int().tolist()} <= columns  # each pixel has one of its columns: shuffled


@pytest.mark.parametrize("A", [WalshHadamardSensing(share=0.2), BlockSensing(share=0.2, block=5)])
def test_it_measures_the_share_it_is_told_and_each_channel_alike(A) -> None:
    x = rand(1, 1, 10, 15).expand(-1, 3, -1, -1)
    y = A(x)
    assert int((y[0, 0] != 0).sum()) == 30
    torch.testing.assert_close(y[:, :1].expand(-1, 3, -1, -1), y)


@pytest.mark.parametrize("kind", [WalshHadamardSensing, BlockSensing])
def test_the_seed_decides_what_is_measured(kind) -> None:
    x = rand(1, 1, 12, 12)
    assert torch.equal(kind(seed=1)(x), kind(seed=1)(x))
    assert not torch.equal(kind(seed=1)(x), kind(seed=2)(x))


def picture() -> Tensor:
    """A picture of plain areas, edges and a gradient."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    x = (rows + columns) / 126 - 0.5 + 0.4 * ((rows - 30) ** 2 + (columns - 25) ** 2 < 300) - 0.3 * (columns > 44)
    return x.double().clamp(-1, 1).expand(1, 1, -1, -1)


@pytest.mark.parametrize("A", [WalshHadamardSensing(share=0.3), BlockSensing(share=0.3, block=16)])
def test_the_start_agrees_with_the_data_and_has_a_quarter_of_the_error_of_the_pseudoinverse(A) -> None:
    x = picture()
    y = A(x)
    start = A.start(y)
    close(A(start), y)
    assert (start - x).norm() < 0.25 * (A.pinv(y) - x).norm()
