"""The verdict on restored images, and traces of nearest, on pictures with a known answer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from deqir.estimation import Misfit, check_fit, estimate_kernel, judge
from deqir.estimation.spectrum import natural_levels
from deqir.estimation.verdict import excess, roughness_gained, spread_of_colours
from deqir.operators import Denoising, NearestSuperResolution, SeparableDeblurring, SuperResolution, kernels

BLUR = SeparableDeblurring(kernel=kernels.gaussian(1.6))


def natural(side: int = 96) -> Tensor:
    """Return a random picture with the spectrum of photographs, in three channels alike."""
    return (natural_levels(side, side) / 127.5 - 1).clamp(-0.95, 0.95).expand(3, -1, -1)


def stored(x: Tensor) -> Tensor:
    return ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def noisy(x: Tensor, levels: float) -> Tensor:
    return x + levels / 127.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def test_a_true_result_is_trusted() -> None:
    x = torch.nn.functional.interpolate(natural(16)[None], (96, 96), mode="bicubic")[0]
    assert judge(stored(x), stored(BLUR(x[None])[0]), BLUR).trusted


def test_an_inverse_of_twice_the_blur_is_not_trusted() -> None:
    y = stored(BLUR(natural()[None])[0])
    wider = SeparableDeblurring(kernel=kernels.gaussian(3.2))
    assert any("rims" in reason for reason in judge(stored(wider.pinv(y[None])[0]), y, wider).reasons)


def test_amplified_noise_is_seen_in_smooth_places() -> None:
    y = stored(noisy(BLUR(natural()[None])[0], 1))
    reasons = judge(stored(BLUR.pinv(y[None])[0]), y, BLUR).reasons
    assert any("rough" in reason for reason in reasons)


def test_a_result_that_leaves_y_is_not_trusted() -> None:
    x = natural()
    A = SuperResolution(scale=4)
    y = A(x[None])[0]
    assert judge(stored(x), y, A).trusted
    assert "degraded again" in judge(stored(x + 0.1), y, A).reasons[0]
    assert judge(stored(x + 0.1), y, A, exact=False).trusted


def test_noise_told_where_there_is_little_counts_as_lost_detail() -> None:
    x = natural()
    y = noisy(x, 15)
    assert judge(stored(x), stored(y), Denoising(), sigma_y=15 / 127.5).trusted
    lost = judge(stored(x), stored(noisy(x, 3)), Denoising(), sigma_y=15 / 127.5)
    assert "detail may be lost" in lost.reasons[0]


def test_colours_count_unless_they_were_asked_for() -> None:
    grey = natural()
    ramp = torch.linspace(-0.4, 0.4, 96)
    coloured = (grey * 0.5 + torch.stack([ramp, -ramp, 0 * ramp])[:, None]).clamp(-1, 1)
    appeared = judge(coloured, grey * 0.5, Denoising(), exact=False).reasons
    assert any("appeared" in reason for reason in appeared)
    assert any("lost" in reason for reason in judge(grey * 0.5, coloured, Denoising(), exact=False).reasons)
    asked = judge(coloured, grey * 0.5, Denoising(), exact=False, colour_asked=True).reasons
    assert not any("colour" in reason for reason in asked)


def test_a_tint_is_no_colour() -> None:
    levels = (natural() + 1) * 127.5
    sepia = levels * torch.tensor([1.07, 0.93, 0.72])[:, None, None]
    assert spread_of_colours(sepia) == pytest.approx(0, abs=1e-2)


def test_a_misfit_is_told_in_words() -> None:
    fault = Misfit(softer=0.0, sharper=0.0, unlike=0.0, noisier=3.0)
    x = natural()
    assert judge(x, x, Denoising(), misfit=fault).reasons == ("the image has more noise than was told",)


def test_numbers_of_ringing_have_their_meaning() -> None:
    edge = torch.zeros(32, 32)
    edge[:, 16:] = 100
    rim = edge.clone()
    rim[:, 16] += 20
    assert excess(edge, edge) == 0
    steps = 100 * 32 / (2 * 31 * 32)  # one step in each row; none down the columns
    assert excess(rim, edge) == pytest.approx(20 / 32 / (steps + 0.5), rel=1e-5)
    checks = 2.0 * (torch.arange(32)[:, None] + torch.arange(32)).remainder(2)
    assert roughness_gained(checks, torch.zeros(32, 32)) == pytest.approx(2 / 0.3)


def test_every_second_pixel_of_fine_waves_shows_and_their_means_do_not() -> None:
    x = natural(256)
    assert estimate_kernel(stored(SuperResolution(scale=4)(x[None])[0])) is None
    generator = torch.Generator().manual_seed(1)
    edges = (
        torch.rand(3, 16, 16, generator=generator).mul(1.6).sub(0.8).repeat_interleave(16, 1).repeat_interleave(16, 2)
    )
    turned = torch.where(torch.rand(1, 256, 256, generator=generator) < 0.15, -edges, edges)
    assert estimate_kernel(NearestSuperResolution(scale=4)(turned[None])[0]) == "nearest"


@pytest.mark.parametrize("picture", ["grey", "ramp"])
def test_nothing_is_judged_by_a_flat_picture(picture: str) -> None:
    ramp = torch.linspace(-0.7, 0.7, 96).expand(3, 64, 96)
    y = stored(torch.full((3, 48, 48), 0.01) if picture == "grey" else ramp)
    for A in (SuperResolution(scale=4), BLUR, Denoising()):
        assert check_fit(y, A) is None


def test_the_error_of_jpeg_is_no_misfit() -> None:
    y = stored(BLUR(natural(192)[None])[0])
    spectrum = torch.fft.rfft2(y)
    high = torch.fft.fftfreq(192).abs()[:, None].maximum(torch.fft.rfftfreq(192).abs()) > 0.25
    soft = torch.fft.irfft2(torch.where(high, 0.0, spectrum), s=(192, 192))
    found = check_fit(stored(soft), BLUR, jpeg_noise=5 / 127.5)
    assert found is not None
    assert found.softer == 0
    assert math.isfinite(found.score)
