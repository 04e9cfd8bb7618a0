"""Settings that make no operator, and images that fit none, are refused with the reason."""

from __future__ import annotations

import pytest
import torch

from deqir.operators import (
    BlockSensing,
    Colorization,
    Deblurring,
    FramedDeblurring,
    Inpainting,
    KernelSuperResolution,
    SeparableDeblurring,
    SuperResolution,
    WalshHadamardSensing,
    kernels,
)
from tests.conformance.examples import ONE_SIDED

FLAT = kernels.uniform(3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SuperResolution(scale=0), "at least 1"),
        (lambda: SuperResolution(scale=(0, 2)), "at least 1"),
        (lambda: KernelSuperResolution(scale=(2, 0)), "at least 1"),
        (lambda: KernelSuperResolution(kernel=torch.tensor([1.0, -1.0])), "sums to nothing"),
        (lambda: Inpainting(keep=torch.zeros(4, 4, dtype=torch.bool)), "inverted"),
        (lambda: Colorization(weights=(1.0, 1.0, 1.0)), "sum to 1"),
        (lambda: SeparableDeblurring(kernel=torch.outer(FLAT, FLAT)), "one dimension"),
        (lambda: SeparableDeblurring(kernel=FLAT, threshold=0.0), "threshold"),
        (lambda: SeparableDeblurring(kernel=FLAT, damping=0.0), "damping"),
        (lambda: Deblurring(kernel=FLAT), "two dimensions, got shape"),
        (lambda: Deblurring(kernel=torch.zeros(3, 3)), "sums to nothing"),
        (lambda: Deblurring(kernel=ONE_SIDED, boundary="reflect"), "look the same in a mirror"),
        (lambda: Deblurring(kernel=ONE_SIDED, threshold=1.0), "threshold"),
        (lambda: Deblurring(kernel=ONE_SIDED, damping=-1.0), "damping"),
        (lambda: FramedDeblurring(kernel=FLAT), "two dimensions"),
        (lambda: FramedDeblurring(kernel=torch.zeros(3, 3)), "sums to nothing"),
        (lambda: FramedDeblurring(kernel=kernels.disk(1), tolerance=0), "tolerance"),
        (lambda: WalshHadamardSensing(share=0.0), "above 0 and at most 1"),
        (lambda: WalshHadamardSensing(share=1.5), "above 0 and at most 1"),
        (lambda: BlockSensing(share=0.0), "above 0 and at most 1"),
        (lambda: BlockSensing(share=1.5), "above 0 and at most 1"),
        (lambda: BlockSensing(block=0), "at least 1 pixel"),
    ],
)
def test_settings_that_make_no_operator_are_refused(make, says) -> None:
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("A", "side", "says"),
    [
        (
            KernelSuperResolution(scale=4),
            (10, 12),
            r"KernelSuperResolution\(scale=4\) needs sides divisible by 4, got \(10, 12\)",
        ),
        (
            SuperResolution(scale=(2, 5)),
            (10, 12),
            r"divisible by 2 \(height\) and 5 \(width\), got \(10, 12\); crop or pad",
        ),
        (FramedDeblurring(kernel=kernels.motion(5)), (5, 4), r"leaves nothing of a scene of 5 x 4"),
    ],
)
def test_a_wrong_size_is_named_with_the_remedy(A, side, says) -> None:
    with pytest.raises(ValueError, match=says):
        A(torch.zeros(1, 3, *side))
