"""Compositions against the pseudoinverse of the product of their parts' matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir.operators import (
    BlockSensing,
    Colorization,
    Composition,
    Deblurring,
    Denoising,
    Inpainting,
    KernelSuperResolution,
    MatrixFree,
    SeparableDeblurring,
    SuperResolution,
    WalshHadamardSensing,
    kernels,
    masks,
)
from deqir.protocols import LinearOperator, SpectralOperator
from tests.conformance.dense import Shape, assert_conforms, close, dense
from tests.deqir.problems import rand

NARROW = kernels.gaussian(0.6)
UNCUT = 1e-3  # below the singular values of that kernel
GREYS = (0.5, 0.3, 0.2)


def product(parts: Sequence[LinearOperator], shape: Shape) -> Tensor:
    """The product of the matrices of the parts, in the given order."""
    matrix = torch.eye(shape[0] * shape[1] * shape[2], dtype=torch.float64)
    for part in parts:
        matrix = dense(part, shape) @ matrix
        made = part(torch.zeros(1, *shape, dtype=torch.float64)).shape
        shape = (made[1], made[2], made[3])
    return matrix


def assert_composes(parts: list[LinearOperator], shape: Shape) -> None:
    A = Composition(parts=parts)
    assert_conforms(A, shape, matrix=product(parts, shape))
    y = A(rand(2, *shape))
    for start in (A.start(y), A.guess(y)):
        assert start.shape[1:] == shape
        assert bool(torch.isfinite(start).all())


@st.composite
def disjoint(draw: st.DrawFn) -> tuple[list[LinearOperator], Shape]:
    """Masks, poolings, grey and identity in any order and number, and the shape of an image for them."""
    scales: list[int] = draw(st.lists(st.integers(1, 2), max_size=2))
    height, width = (draw(st.integers(1, 3)) * math.prod(scales) for _ in "hw")
    channels = 3 if (grey := draw(st.booleans())) else draw(st.integers(1, 3))
    kinds: list[int | str] = draw(
        st.permutations([*scales, *(["grey"] if grey else []), *draw(st.lists(st.just("mask"), max_size=2))])
    )
    parts, shape = list[LinearOperator](), (channels, height, width)
    for kind in kinds or ["nothing"]:
        c, h, w = shape
        if isinstance(kind, int):
            parts.append(SuperResolution(scale=kind))
            shape = (c, h // kind, w // kind)
        elif kind == "mask":
            planes = (c, h, w) if draw(st.booleans()) else (h, w)
            n = torch.Size(planes).numel()
            kept = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any))
            parts.append(Inpainting(keep=torch.tensor(kept).view(planes)))
        elif kind == "grey":
            parts.append(Colorization(weights=GREYS))
            shape = (1, h, w)
        else:
            parts.append(Denoising())
    return parts, (channels, height, width)


@settings(deadline=None, max_examples=40)
@given(disjoint())
def test_masks_poolings_and_grey_compose_in_any_order(problem) -> None:
    parts, shape = problem
    assert_composes(parts, shape)
    A = Composition(parts=parts)
    y = A(rand(2, *shape))
    close(A(A.start(y)), y)


LAST: dict[str, tuple[SpectralOperator, ...]] = {
    "blur": (Deblurring(kernel=torch.outer(NARROW, NARROW), threshold=UNCUT),),
    "blur-axes": (SeparableDeblurring(kernel=NARROW, threshold=UNCUT),),
    "bicubic": (KernelSuperResolution(scale=2),),
    "walsh-hadamard": (WalshHadamardSensing(share=0.4),),
    "blocks": (BlockSensing(share=0.4, block=3),),
}


@pytest.mark.parametrize("name", LAST)
def test_one_other_part_may_follow_poolings_and_grey(name) -> None:
    assert_composes([SuperResolution(scale=2), Colorization(), *LAST[name]], (3, 8, 12))
    assert_composes([SuperResolution(scale=(1, 2)), Denoising(), *LAST[name]], (2, 4, 12))


@pytest.mark.parametrize("name", LAST)
def test_grey_may_follow_what_does_the_same_to_each_channel(name) -> None:
    assert_composes([*LAST[name], Colorization(weights=GREYS)], (3, 4, 6))


def test_compositions_unfold() -> None:
    keep = masks.random(4, 6, lost=0.4)
    inner = Composition(parts=(Inpainting(keep=keep), Colorization()))
    A = Composition(parts=(inner, SuperResolution(scale=2)))
    assert len(A.parts) == 3
    assert_conforms(A, (3, 4, 6), matrix=product(A.parts, (3, 4, 6)))


def test_the_pseudoinverses_of_the_parts_would_be_wrong() -> None:
    """Scratches before a pooling leave blocks of different weight: the reason for this class."""
    mask, pool = Inpainting(keep=masks.random(8, 8, lost=0.5)), SuperResolution(scale=4)
    A, x = Composition(parts=(mask, pool)), rand(1, 1, 8, 8)
    y = A(x)
    naive = mask.pinv(pool.pinv(y))
    assert (A(naive) - y).norm() > 0.2 * y.norm()
    close(A(A.pinv(y)), y)


def test_the_start_makes_up_for_what_the_masks_took() -> None:
    """A plain image comes back plain, although scratches have darkened some pixels and emptied others."""
    keep = masks.scratches(32, 32, count=3, seed=2)
    keep[8:12, 8:12] = False  # a block with nothing left
    A = Composition(parts=(Inpainting(keep=keep), Colorization(), SuperResolution(scale=4)))
    x = torch.full((1, 3, 32, 32), 0.5, dtype=torch.float64)
    y = A(x)
    assert float(y.min()) == 0.0
    close(A.start(y), x, to=1e-6)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "at least one part"),
        ([LAST["blur"][0], SuperResolution(scale=2)], "SuperResolution comes after Deblurring.*MatrixFree.of_parts"),
        ([LAST["bicubic"][0], Inpainting(keep=masks.box(4, 4))], "Inpainting comes after KernelSuperResolution"),
        ([Inpainting(keep=masks.box(4, 4)), LAST["blur"][0]], "a mask has set to 0; use MatrixFree.of_parts"),
        (
            [LAST["blur"][0], Inpainting(keep=masks.channels(4, 4, known=(True, False, True))), Colorization()],
            "comes after Deblurring",
        ),
        (
            [MatrixFree(forward=torch.clone, transpose=torch.clone, shape=(1, 2, 2))],
            r"A\^\+ of MatrixFree: MatrixFree has no method `filter`.*MatrixFree.of_parts",
        ),
    ],
)
def test_what_has_no_closed_form_is_refused_with_the_remedy(parts, says) -> None:
    with pytest.raises(ValueError, match=says):
        Composition(parts=parts)


def test_the_remedy_works() -> None:
    parts = [LAST["blur-axes"][0], Inpainting(keep=masks.random(4, 6, lost=0.3)), SuperResolution(scale=2)]
    A = MatrixFree.of_parts(parts, (1, 4, 6), tolerance=1e-14)
    assert_conforms(A, (1, 4, 6), matrix=product(parts, (1, 4, 6)))
