"""Noise is a function of the job's seed and the image's content alone."""

from __future__ import annotations

import hashlib

import torch
from hypothesis import given
from hypothesis import strategies as st

from deqir.noise import chain_noise, image_seed

CPU = torch.device("cpu")


@given(st.integers(), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_seed_is_stable_fits_63_bits_and_depends_on_both(seed: int, content: str) -> None:
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
    known = torch.tensor([0.6614, 0.2669, 0.0617, 0.6213], dtype=torch.float64)
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
