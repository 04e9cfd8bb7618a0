"""What is a kernel of its own on a GPU answers what the CPU does: convolutions with their ReLU, noise."""

from __future__ import annotations

from typing import Final

import pytest
import torch
from torch import Tensor, nn

from deqir.hardware.fused_convolution import rectified
from deqir.sampling import counter_normal

LAYERS: Final = {
    "same size": lambda: nn.Conv2d(13, 24, 3, padding=1),
    "without bias": lambda: nn.Conv2d(13, 24, 3, padding=1, bias=False),
    "in strides": lambda: nn.Conv2d(13, 24, 11, stride=4, padding=2),
    "pixel by pixel": lambda: nn.Conv2d(13, 24, 1),
    "wide apart": lambda: nn.Conv2d(13, 24, 3, padding=2, dilation=2),
    "in groups": lambda: nn.Conv2d(13, 26, 3, padding=1, groups=13),
}
APART: Final = {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 4e-2}
"""Of numbers of about 1: sums of a thousand terms in another order, or results of 11 or 8 bits."""
NOISE_APART: Final = 2e-6
"""Of at most 6.7: four roundings of single precision."""


@pytest.mark.parametrize("half", [None, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", LAYERS)
def test_a_convolution_and_its_relu_are_those_of_the_cpu_whether_gradients_are_asked_or_not(
    name, layout, half, gpu
) -> None:
    torch.manual_seed(0)
    layer, h = LAYERS[name](), torch.randn(3, 13, 21, 18)
    expected = layer(h).relu()
    layer.to(gpu).to(memory_format=layout)  # type: ignore[call-overload]
    there = h.to(gpu).to(memory_format=layout)
    with torch.autocast(gpu.type, half, enabled=half is not None):
        with torch.no_grad():
            found: list[Tensor] = [rectified(layer, there), rectified(layer, there[:, :, 1:-1])]
        with_slope = rectified(layer, there)
    assert with_slope.requires_grad
    assert {one.dtype for one in (*found, with_slope)} == {half or torch.float32}
    for one, other in (
        (found[0], expected),
        (with_slope.detach(), expected),
        (found[1], layer.cpu()(h[:, :, 1:-1]).relu()),
    ):
        torch.testing.assert_close(one.float().cpu(), other.detach(), rtol=0, atol=APART[half or torch.float32])


def test_a_convolution_in_double_precision_stays_in_it(gpu) -> None:
    layer, h = nn.Conv2d(3, 4, 3).double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = layer(h).relu().detach()
    with torch.no_grad():
        torch.testing.assert_close(rectified(layer.to(gpu), h.to(gpu)).cpu(), expected)


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_noise_is_the_cpus_to_rounding(seed, device) -> None:
    there, here = (
        counter_normal.standard_normal(seed, 2**20 + 1, device=where) for where in (device, torch.device("cpu"))
    )
    assert there.device == device
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=NOISE_APART)


def test_noise_of_many_numbers_goes_on_where_it_is_drawn_in_parts(gpu) -> None:
    first = counter_normal.LARGEST_AT_ONCE - 6
    there, here = (
        counter_normal.standard_normal(7, first + 13, device=where)[first:] for where in (gpu, torch.device("cpu"))
    )
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=NOISE_APART)
