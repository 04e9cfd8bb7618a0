"""Thumbnails made by other filters, and compressed ones: nothing delivered is worse than interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from deqir.metrics import psnr as closeness
from deqir.pretrained.lpips import load_lpips
from tests.weights import needs_lpips

from .archives import face, jpeg, levels, png
from .runs import End, decoded, psnr, restore

SIDE = 256


def original() -> Image.Image:
    return face(SIDE - 32).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def small(by: Image.Resampling) -> Image.Image:
    return original().resize((SIDE // 4, SIDE // 4), by)


def archive() -> dict[str, bytes]:
    sharp = small(Image.Resampling.BICUBIC).filter(ImageFilter.UnsharpMask(1, 150, 0))
    compressed = {f"quality{quality}.jpg": jpeg(small(Image.Resampling.BICUBIC), quality) for quality in (40, 60, 85)}
    return {"nearest.png": png(small(Image.Resampling.NEAREST)), "sharpened.png": png(sharp), **compressed}


def interpolated(data: bytes) -> np.ndarray:
    return levels(decoded(data).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def gain(end: End) -> float:
    """Gain in dB over bicubic interpolation."""
    x = levels(original())
    return psnr(end.written, x) - psnr(interpolated(end.source), x)


@pytest.fixture(scope="module", params=["average", "bicubic", "auto"])
def enlarged(request, tmp_path_factory) -> dict[str, End]:
    told = {"task": "auto"} if request.param == "auto" else {"task": "sr", "kernel": request.param}
    return restore(tmp_path_factory.mktemp("small"), archive(), scale=4, **told)


@needs_lpips
def test_nothing_delivered_is_worse_than_interpolation_in_fidelity_and_to_the_eye(enlarged) -> None:
    import torch

    lpips = load_lpips(device="cpu")

    def tensor(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1

    x = tensor(levels(original()))
    for key, end in enlarged.items():
        if end.delivered:
            before, after = tensor(interpolated(end.source)), tensor(end.written)
            better = float(closeness(after, x)) > float(closeness(before, x)) - 0.05
            assert better or float(lpips(after, x)) < float(lpips(before, x)), key


def test_compressed_ones_gain_whatever_smooth_kernel_is_told(enlarged) -> None:
    for key in ("quality40.jpg", "quality60.jpg", "quality85.jpg"):
        assert enlarged[key].delivered, key
        assert gain(enlarged[key]) > 0.2, key


@pytest.mark.parametrize(("kernel", "least"), [("nearest", -0.6), ("sharpened", 0.2)])
def test_the_told_kernel_undoes_what_was_done(tmp_path, kernel, least) -> None:
    """Every fourth pixel tells more of the look than of the fidelity; a wrong kernel costs 2 to 3 dB."""
    key = f"{kernel}.png"
    end = restore(tmp_path, {key: archive()[key]}, task="sr", scale=4, kernel=kernel)[key]
    assert end.row.status == "restored"
    assert gain(end) > least
