"""A network in half precision: close to the one in single precision, with the data still explained exactly."""

from __future__ import annotations

import pytest
import torch

from deqir import Restorer, in_half_precision, load_prior
from deqir.operators import Deblurring, SuperResolution
from tests.deqir.problems import rand, toy_denoiser

MODES = ("throughput", "latency")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "grey_levels"), [(torch.bfloat16, 1.0), (torch.float16, 0.2)])
def test_a_network_in_half_precision_restores_nearly_the_same_and_still_agrees_with_y(
    dtype, grey_levels, mode, tiny_prior
) -> None:
    """bfloat16 rounds to parts in 256, a grey level; float16 rounds to an eighth of a grey level."""
    prior, A = load_prior(tiny_prior, device="cpu"), SuperResolution(scale=2)
    y = A(rand(2, 3, 16, 16).clamp(-1, 1).float())
    single = Restorer(prior, steps=6, mode=mode)(y, A)  # type: ignore[arg-type]
    half = Restorer(in_half_precision(prior, dtype), steps=6, mode=mode)(y, A)  # type: ignore[arg-type]
    assert half.images.dtype == torch.float32
    assert 0 < float((half.images - single.images).square().mean().sqrt()) * 127.5 < grey_levels
    assert max(stats.data_consistency for stats in half.stats) < 1e-6  # steps are taken in single precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("boundary", ["circular", "reflect"])
def test_images_in_half_precision_are_deblurred_by_any_mode(boundary, dtype) -> None:
    A = Deblurring(kernel=torch.full((3, 3), 1 / 9), boundary=boundary)  # type: ignore[arg-type]
    y = A(rand(2, 3, 16, 16).clamp(-1, 1).float())
    for mode in ("throughput", "paper"):
        single = Restorer(toy_denoiser, steps=4, mode=mode)(y, A, seeds=[1, 2])  # type: ignore[arg-type]
        half = Restorer(toy_denoiser, steps=4, mode=mode)(y.to(dtype), A, seeds=[1, 2])  # type: ignore[arg-type]
        assert half.images.dtype == dtype
        assert float((half.images.float() - single.images).square().mean().sqrt()) < 0.1
    assert A.tapered(y.to(dtype)).dtype == dtype


def test_what_is_no_half_precision_is_refused(tiny_prior) -> None:
    with pytest.raises(ValueError, match=r"float16 or torch\.bfloat16, got torch\.int8"):
        in_half_precision(load_prior(tiny_prior, device="cpu"), torch.int8)
