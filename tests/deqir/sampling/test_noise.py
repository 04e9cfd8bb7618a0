"""Noise is a function of the job's seed and the image's content alone."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from deqir.sampling import counter_normal
from deqir.sampling.counter_normal import AT_ONCE, standard_normal
from deqir.sampling.noise import chain_noise, image_seed

CPU = torch.device("cpu")


@given(st.integers(), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_seed_is_stable_fits_63_bits_and_depends_on_both(seed, content) -> None:
    found = image_seed(seed, content)
    assert 0 <= found < 2**63
    assert found == image_seed(seed, content)
    assert found != image_seed(seed + 1, content)
    assert found != image_seed(seed, content[::-1] + "0")


def test_the_seed_of_an_image_is_what_earlier_versions_made_of_it() -> None:
    """A change here would change every restored image."""
    digest = hashlib.sha256(b"7\x00" + b"0" * 64).hexdigest()
    assert image_seed(7, "0" * 64) == int(digest[:16], 16) // 2
    first = chain_noise([1], (1, 1, 2), 1, dtype=torch.float64, device=CPU)
    known = torch.tensor([-1.2112, 0.3265, 2.6574, 0.1850], dtype=torch.float64)
    torch.testing.assert_close(first.flatten(), known, rtol=0, atol=5e-5)


def test_an_images_noise_does_not_depend_on_its_batch() -> None:
    both = chain_noise([5, 6], (3, 4, 5), 7, dtype=torch.float32, device=CPU)
    assert both.shape == (2, 8, 3, 4, 5)
    for row, seed in enumerate((5, 6)):
        assert torch.equal(chain_noise([seed], (3, 4, 5), 7, dtype=torch.float32, device=CPU)[0], both[row])


def test_it_is_standard_normal_and_the_same_draw_in_every_precision() -> None:
    """Of 2^18 numbers: a mean within 5 standard errors of 0, a variance within 5 of 1."""
    single = chain_noise([3], (1, 256, 256), 3, dtype=torch.float32, device=CPU)
    double = chain_noise([3], (1, 256, 256), 3, dtype=torch.float64, device=CPU)
    assert torch.equal(single.double(), double)
    error = 5 / double.numel() ** 0.5
    assert abs(float(double.mean())) < error
    assert abs(float(double.var()) - 1) < error * 2**0.5


@given(st.integers(0, 2**63 - 1), st.integers(1, 5000), st.integers(1, 5000))
def test_numbers_do_not_depend_on_how_many_are_drawn(seed, few, many) -> None:
    few, many = sorted((few, many))
    drawn = standard_normal(seed, many, device=CPU)
    assert drawn.shape == (many,)
    assert torch.equal(standard_normal(seed, few, device=CPU), drawn[:few])


def test_numbers_are_the_same_however_many_are_drawn_at_once() -> None:
    count = 2 * AT_ONCE + 12345
    whole = standard_normal(1, count, device=CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counter_normal, "AT_ONCE", AT_ONCE // 4)
        assert torch.equal(standard_normal(1, count, device=CPU), whole)


@pytest.mark.parametrize("seed", [5 - 2**64, 5 + 2**64])
def test_of_any_whole_number_the_lowest_64_bits_are_the_seed(seed) -> None:
    assert torch.equal(standard_normal(seed, 9, device=CPU), standard_normal(5, 9, device=CPU))


@pytest.mark.parametrize("begin", [2**31, 2**32, 3 * 2**32])
def test_numbers_of_images_that_take_billions_are_new_ones_and_the_same_on_every_device(begin) -> None:
    n = 2**16
    first, here, there = np.empty(n, np.float32), np.empty(n, np.float32), torch.empty(n)
    counter_normal._here(1, 0, first)
    counter_normal._here(1, begin, here)
    counter_normal._there(1, begin, there)
    np.testing.assert_allclose(here, there, rtol=0, atol=2e-6)
    for one, other in ((first, here), (first, here[::-1]), (first[1024:], here[:-1024])):
        assert abs(stats.pearsonr(one, other).statistic) < 5 / len(one) ** 0.5
    assert stats.kstest(here, "norm").pvalue > 1e-4


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_numbers_are_distributed_as_a_normal_one(seed) -> None:
    drawn = standard_normal(seed, 2**19, device=CPU).double().numpy()
    assert stats.kstest(drawn, "norm").pvalue > 1e-4
    assert 4.2 < abs(drawn).max() < 6.5
    assert stats.kurtosistest(drawn).pvalue > 1e-4


def test_numbers_of_one_seed_and_of_its_neighbours_are_independent() -> None:
    """Inner products of unit vectors of n independent numbers, and of their squares, are of about 1 / sqrt(n)."""
    n, rows = 2**18, [standard_normal(seed, 2**18 + 4096, device=CPU).double() for seed in range(4)]
    for power in (1, 2):
        spread = [row**power - (power - 1) for row in rows]
        deviation = 2.0 ** (power - 1)  # of a square's variance
        for lag in (1, 2, 3, 64, 1023, 1024, 1025, 2048, 4096):
            for row in spread:
                assert abs(float(row[:n] @ row[lag : n + lag])) < 6 * deviation * n**0.5
        for one, other in itertools.combinations(spread, 2):
            for lag in (0, 1, 1024):
                assert abs(float(one[:n] @ other[lag : n + lag])) < 6 * deviation * n**0.5


def test_the_noise_of_an_image_has_no_pattern() -> None:
    """The mean power of 64 images' noise is the same at every frequency, to 1 / sqrt(64) of it."""
    images = chain_noise(range(64), (1, 128, 128), 1, dtype=torch.float32, device=CPU)[:, 1, 0]
    power = torch.fft.rfft2(images).abs().square().mean(0)[1:-1, 1:-1] / 128**2
    assert abs(float(power.std()) * 8 - 1) < 0.05
    assert 0.4 < float(power.min()) < float(power.max()) < 1.8
