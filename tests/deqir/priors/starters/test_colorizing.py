"""The colorizer: y stays the grey of its images, and colours keep to the edges of large images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deqir.operators import Colorization
from deqir.operators.colorization import REC_601
from deqir.priors.starters.colorizing import LEAST, MULTIPLE, RADIUS, SHORT, SOFTNESS, Colorizer, coloured, guided
from tests.conformance.dense import close
from tests.deqir.priors.starters.starting import colorizer
from tests.deqir.problems import rand

Weights = tuple[float, float, float]

SIZES = [(64, 64), (96, 128), (70, 90), (5, 7), (1, 1), (20, 150), (150, 20), (270, 300)]
"""Sizes of the network's input, near to it, tiny, elongated, larger."""


def greys(*shape: int, seed: int = 0) -> Tensor:
    """Random grey images in [-1, 1]."""
    return torch.tanh(rand(*shape, seed=seed)).float()


@pytest.fixture(scope="module")
def network() -> Colorizer:
    return colorizer()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weights", [REC_601, (1 / 3, 1 / 3, 1 / 3), (0.5, 0.0, 0.5)])
def test_the_weighted_sum_of_what_it_colours_is_y(network, size, weights) -> None:
    y = greys(1, 1, *size)
    found = network.make_start(y, weights)
    assert found.shape == (1, 3, *size)
    assert float((found - y).abs().max()) > 0.01  # not grey
    torch.testing.assert_close(Colorization(weights=weights)(found), y, atol=1e-5, rtol=0)


@settings(deadline=None)
@given(st.floats(-1, 2), st.floats(-1, 2))
def test_colours_leave_the_weighted_sum_whatever_the_weights(red, blue) -> None:
    """Also with a weight of 0 for green, and of 1."""
    weights = (red, 1 - red - blue, blue)
    above = rand(2, 2, 3, 4)
    added = coloured(above, weights)
    close(Colorization(weights=weights)(added), torch.zeros_like(above[:, :1]))
    usual = coloured(above, REC_601)
    close(usual[:, ::2], above)
    close(added - added[:, :1], usual - usual[:, :1])  # the same colours


@pytest.mark.parametrize("size", [(64, 80), (33, 50)])
def test_one_that_has_learnt_nothing_leaves_images_grey(size) -> None:
    y = greys(2, 1, *size)
    assert torch.equal(Colorizer(width=8).eval().make_start(y), y.expand(-1, 3, -1, -1))


def test_its_last_layer_gives_each_place_four_by_four_pixels_of_red_then_of_blue() -> None:
    net = Colorizer(width=8).eval().requires_grad_(False)
    nn.init.normal_(net.last.bias)  # type: ignore[arg-type]
    y = greys(1, 1, 64, 64)
    tiles = net.last.bias.view(2, 4, 4).tile(1, 16, 16)  # type: ignore[union-attr]
    found = net.make_start(y)
    torch.testing.assert_close(found[:, ::2] - y, tiles[None])


def test_images_are_coloured_in_a_batch_as_alone_and_every_time_the_same(network) -> None:
    y = greys(3, 1, 50, 60)
    found = network.make_start(y)
    torch.testing.assert_close(found, torch.cat([network.make_start(one[None]) for one in y]))
    assert torch.equal(found, network.make_start(y))
    whole = network.make_start(y.double())
    assert whole.dtype == torch.float64
    torch.testing.assert_close(Colorization()(whole), y.double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((64, 64), (64, 64)),
        ((128, 208), (128, 208)),
        ((100, 120), (96, 128)),
        ((5, 7), (64, 96)),
        ((32, 320), (64, 640)),
        ((1024, 512), (512, 256)),
        ((300, 401), (256, 336)),
    ],
)
def test_it_sees_images_at_a_size_that_it_knows(network, size, seen) -> None:
    """The shorter side is between the limits, both sides are divisible, and the shape is kept as far as possible."""
    asked = list[tuple[int, ...]]()
    with network.register_forward_pre_hook(lambda _, given: asked.append(tuple(given[0].shape[-2:]))):
        network.make_start(greys(1, 1, *size))
    assert asked == [seen]
    assert LEAST <= min(seen) <= SHORT
    assert not any(side % MULTIPLE for side in seen)


def ridge(grey: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """The guided filter at one size, window by window: the best line, with a reduced slope."""
    lines = np.zeros((2, *grey.shape))
    for i, j in np.ndindex(*grey.shape):
        window = (slice(max(0, i - RADIUS), i + RADIUS + 1), slice(max(0, j - RADIUS), j + RADIUS + 1))
        values, wanted = grey[window].ravel(), plane[window].ravel()
        rows = np.stack([values, np.ones_like(values)], 1)
        held = np.array([[np.sqrt(SOFTNESS * len(values)), 0.0]])
        lines[:, i, j] = np.linalg.lstsq(np.vstack([rows, held]), np.append(wanted, 0.0), rcond=None)[0]
    found = np.zeros(grey.shape)
    for i, j in np.ndindex(*grey.shape):
        window = (slice(max(0, i - RADIUS), i + RADIUS + 1), slice(max(0, j - RADIUS), j + RADIUS + 1))
        slope, offset = lines[0][window].mean(), lines[1][window].mean()
        found[i, j] = slope * grey[i, j] + offset
    return found


def test_colours_are_guided_by_the_best_lines_of_windows() -> None:
    grey, planes = torch.tanh(rand(2, 1, 9, 14)), rand(2, 2, 9, 14, seed=1)
    found = guided(grey, grey, planes)
    for image, plane in np.ndindex(2, 2):
        wanted = ridge(grey[image, 0].numpy(), planes[image, plane].numpy())
        np.testing.assert_allclose(found[image, plane].numpy(), wanted, atol=1e-10)


@settings(deadline=None, max_examples=25)
@given(st.floats(-2, 2), st.floats(-1, 1), st.sampled_from([(24, 36), (61, 40), (300, 200), (8, 8)]))
def test_planes_that_are_a_line_over_the_grey_values_stay_one(slope, offset, size) -> None:
    """For any large image: only the line is taken from the small image."""
    small, grey = torch.tanh(rand(1, 1, 32, 48)), torch.tanh(rand(1, 1, *size, seed=1))
    found = guided(grey, small, slope * small + offset)
    torch.testing.assert_close(found, slope * grey + offset, atol=12 * SOFTNESS, rtol=0)


def test_an_edge_of_the_large_image_is_an_edge_of_its_colours() -> None:
    """Dark and red on the left, light and blue on the right, without the pixels in between of an interpolation."""
    grey = torch.full((1, 1, 64, 96), -0.5, dtype=torch.float64)
    grey[..., 52:] = 0.5  # amid a pixel of the small image
    small = nn.functional.interpolate(grey, scale_factor=0.125, mode="bilinear", antialias=True)
    colours = nn.functional.interpolate(torch.where(grey > 0, -0.3, 0.3), scale_factor=0.125, mode="area")
    found = guided(grey, small, colours)
    wanted = torch.where(grey > 0, -0.3, 0.3)
    plain = nn.functional.interpolate(colours, size=(64, 96), mode="bilinear", align_corners=False)
    assert float((found - wanted).abs().max()) < 0.05
    assert float((plain - wanted).abs().max()) > 0.25


def test_where_the_grey_image_is_flat_colours_are_those_around() -> None:
    flat, planes = torch.full((1, 1, 16, 16), 0.3, dtype=torch.float64), rand(1, 2, 16, 16)
    around = [
        planes[:, :, max(0, i - RADIUS) : i + RADIUS + 1, max(0, j - RADIUS) : j + RADIUS + 1].mean((2, 3))
        for i, j in np.ndindex(16, 16)
    ]
    means = torch.stack(around, 2).view(1, 2, 16, 16)
    middle = means[:, :, 8 - RADIUS : 9 + RADIUS, 8 - RADIUS : 9 + RADIUS].mean((2, 3))
    torch.testing.assert_close(guided(flat, flat, planes)[:, :, 8, 8], middle)
