"""Inpainting with a mask for each channel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deqir.operators import Inpainting, masks
from deqir.operators.inpainting import diffused_fill
from tests.conformance.dense import assert_conforms, close
from tests.deqir.problems import rand


@settings(deadline=None, max_examples=30)
@given(st.data(), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_it_conforms_whatever_each_channel_keeps(data, channels, height, width) -> None:
    n = channels * height * width
    kept = data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any))
    keep = torch.tensor(kept).view(channels, height, width)
    A = Inpainting(keep=keep)
    assert_conforms(A, (channels, height, width))
    x = rand(2, channels, height, width)
    close(A(A.start(A(x))), A(x))
    close(A.start(A(x)), A.start(x))  # values in the gaps do not matter


def test_one_plane_for_all_channels_is_the_same_mask_in_each() -> None:
    keep, x = masks.random(8, 12, lost=0.4), rand(2, 3, 8, 12)
    for one in (keep, keep[None].expand(3, -1, -1)):
        torch.testing.assert_close(Inpainting(keep=one)(x), x * keep)


def test_a_missing_channel_starts_as_the_mean_of_the_others() -> None:
    x = rand(1, 3, 8, 12)
    start = Inpainting(keep=masks.channels(8, 12, known=(True, False, True))).start(x)
    torch.testing.assert_close(start[:, 1], (x[:, 0] + x[:, 2]) / 2)
    lone = Inpainting(keep=masks.channels(8, 12, known=(False, True, False))).start(x)
    torch.testing.assert_close(lone, x[:, 1:2].expand(-1, 3, -1, -1))


def test_gaps_take_the_detail_of_the_channels_that_are_known_there() -> None:
    """A grey picture with fine detail and one known channel per pixel: a colour filter's mosaic."""
    grey = rand(1, 1, 16, 16).expand(-1, 3, -1, -1).clone()
    keep = torch.zeros(3, 16, 16, dtype=torch.bool)
    keep[0], keep[1], keep[2, ::2] = True, True, True
    error = (Inpainting(keep=keep).start(grey) - grey).abs().max()
    alone = (diffused_fill(grey * keep, keep) - grey).abs().max()
    assert error < 1e-10 < alone


def test_images_with_gaps_of_their_own_are_diffused_in_a_batch_as_alone() -> None:
    y, keep = rand(3, 2, 9, 14), rand(3, 2, 9, 14, seed=1) > 0.5
    keep[1], keep[2, 0] = True, False
    found = diffused_fill(y, keep)
    for n in range(3):
        close(found[n : n + 1], diffused_fill(y[n : n + 1], keep[n]))
        assert torch.equal(found[n][keep[n]], y[n][keep[n]])


@pytest.mark.parametrize("method", ["image_shape", "__call__", "adjoint", "pinv", "start", "guess"])
@pytest.mark.parametrize(
    ("shape", "says"), [((1, 1, 4, 4), "has 3 channels but the image 1"), ((1, 3, 5, 4), "must have its image's size")]
)
def test_an_image_that_does_not_fit_the_mask_is_refused_by_every_method(shape, says, method) -> None:
    A = Inpainting(keep=torch.ones(3, 4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=says):
        getattr(A, method)(shape if method == "image_shape" else torch.zeros(shape))


@pytest.mark.parametrize("keep", [torch.ones(4, dtype=torch.bool), torch.ones(1, 3, 4, 4, dtype=torch.bool)])
def test_a_mask_that_is_neither_a_plane_nor_one_for_each_channel_is_refused(keep) -> None:
    with pytest.raises(Exception, match=r"\(H, W\) or \(C, H, W\)|keep"):
        Inpainting(keep=keep)
