"""The highest measured speeds of a device in products, convolutions and copies, and the time of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import torch
from torch.nn import functional

from .precisions import DTYPES, PRECISIONS, tf32
from .trials import Row, clock_of

CHANNELS: Final = 96
"""Of the convolution: FFDNet's."""


def pace(call: Callable[[], object], device: torch.device, *, seconds: float = 0.02, warm: int = 2) -> float:
    """Return the seconds of a call, from calls in a row with one wait at the end; the best of three.

    Args:
        call: The timed call.
        device: Its device.
        seconds: Approximate time to spend; a longer call is timed once.
        warm: Calls before the timing, if they are short.
    """
    clock = clock_of(device)
    for _ in range(warm):
        call()
    began = clock()
    call()
    best = clock() - began
    times = min(500, int(seconds / 3 / max(best, 1e-6)))
    for _ in range(3 if times else 0):
        began = clock()
        for _ in range(times):
            call()
        best = min(best, (clock() - began) / times)
    return best


@cache
def ceiling(device: torch.device, precision: str, side: int) -> tuple[float, float]:
    """Return TFLOP/s of a product of two square matrices, and of a 3 x 3 convolution of 96 channels, on random numbers.

    Where the matrices' side is 8192 the convolution is of 64 images of 128 x 128, in the layout channels last.
    """
    dtype = DTYPES[precision]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    pixels, images = max(4, side // 64), max(1, side // 128)
    x = torch.randn(images, CHANNELS, pixels, pixels, device=device).to(dtype, memory_format=torch.channels_last)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    with tf32(precision == "TF32"):
        matrices = 2 * side**3 / pace(lambda: a @ b, device, seconds=0.2)
        convolution = pace(lambda: functional.conv2d(x, kernel, padding=1), device, seconds=0.1)
    return matrices / 1e12, 2 * 9 * CHANNELS**2 * images * pixels**2 / convolution / 1e12


def ceilings(device: torch.device, side: int) -> Iterator[Row]:
    """Yield the device's speed in each precision, and its speed of copies."""
    for precision in PRECISIONS:
        matrices, convolution = ceiling(device, precision, side)
        yield {"": precision, "matrices, TFLOP/s": matrices, "convolutions, TFLOP/s": convolution, "copies, GB/s": ""}
    source = torch.randn(side, 4 * side, device=device)
    target = torch.empty_like(source)
    copies = 2 * source.nbytes / pace(lambda: target.copy_(source), device, seconds=0.1)
    yield {"": "copies", "matrices, TFLOP/s": "", "convolutions, TFLOP/s": "", "copies, GB/s": copies / 1e9}
