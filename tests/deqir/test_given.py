"""The range of what the front door takes, against images whose range is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from deqir import Restorer
from deqir.given import check_range, tensor_of
from deqir.operators import Denoising, Inpainting, SuperResolution
from tests.conformance.examples import EXAMPLES
from tests.deqir.problems import toy_denoiser
from tests.processes import python


def extreme(shape: tuple[int, ...]) -> torch.Tensor:
    """Black and white pixels: no image in [-1, 1] is larger."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 2, (2, *shape), generator=generator).double() * 2 - 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_whatever_an_operator_makes_of_images_is_taken_and_bytes_are_not(name: str) -> None:
    A, shape = EXAMPLES[name]
    for x in (extreme(shape), torch.ones(1, *shape).double()):
        y = A(x)
        check_range(y, A, 0.0)
        check_range(y + 3 * torch.ones_like(y), A, 3.0)
        for values in (127.5 * (x + 1), 32767.5 * (x + 1)):
            with pytest.raises(ValueError, match=r"no image in \[-1, 1\] gives so large ones; .*by y / 127.5 - 1"):
                check_range(A(values), A, 0.0)


def test_a_sharpened_image_and_single_outliers_are_taken() -> None:
    y = extreme((3, 8, 8))
    check_range(1.9 * y, Denoising(), 0.0)
    y[0, 0, 0, 0] = 9
    check_range(y, Denoising(), 0.0)


def test_values_in_the_gaps_of_a_mask_do_not_count() -> None:
    keep = torch.ones(8, 8, dtype=torch.bool)
    keep[2:5] = False
    y = torch.where(keep, extreme((3, 8, 8)), 255.0)
    check_range(y, Inpainting(keep=keep), 0.0)
    with pytest.raises(ValueError, match="y holds values from -1 to 255"):
        check_range(y, Denoising(), 0.0)


def test_the_front_door_refuses_an_image_in_bytes_before_any_work() -> None:
    y = (extreme((3, 8, 8)) + 1) * 127.5
    with pytest.raises(ValueError, match="y holds values from 0 to 255"):
        Restorer(toy_denoiser, steps=2)(y, SuperResolution(scale=2))


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.zeros((1, 3, 8, 8)), r"y must be a tensor, got numpy.ndarray; .*torch.from_numpy\(y\)"),
        (Image.new("RGB", (8, 8)), r"got PIL.Image.Image; .*from_numpy\(numpy.array\(y\)\).permute\(2, 0, 1\)\[None\]"),
        ([[0.0]], r"got list; .*torch.stack\(y\)"),
        ("photo.jpg", "got str"),
    ],
)
def test_what_is_no_tensor_is_refused_with_what_makes_one(y: object, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        tensor_of("y", y)


def test_the_front_door_says_so() -> None:
    """In a process of its own, where nothing checks the annotations."""
    run = python(
        "-c",
        "import deqir, numpy; from deqir.operators import Denoising\n"
        "try: deqir.Restorer(lambda x, a: x)(numpy.zeros((1, 3, 8, 8)), Denoising())\n"
        "except TypeError as error: print(error)",
    )
    assert "y must be a tensor, got numpy.ndarray" in run.stdout
