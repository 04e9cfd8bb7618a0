"""Real-ESRGAN's network against its description, its weights against their layout."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional

from deqir.models import describe_model, fetch_model
from deqir.operators import SuperResolution
from deqir.pretrained import real_esrgan
from deqir.pretrained.download import ModelError
from deqir.pretrained.ncnn_format import HALF
from deqir.pretrained.real_esrgan import REAL_ESRGAN_WEIGHTS, RealEsrgan, convert, load_real_esrgan
from tests.deqir.problems import rand
from tests.weights import needs_real_esrgan


def small() -> RealEsrgan:
    """A network of one block of four channels: no pixel sees further than 20 pixels of y."""
    torch.manual_seed(0)
    return RealEsrgan(width=4, growth=2, blocks=1).requires_grad_(False)


def as_written(weights: dict[str, Tensor], y: Tensor) -> Tensor:
    """The network of one block, step by step from the paper's figures."""

    def convolved(name: str, x: Tensor) -> Tensor:
        return functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    first = convolved("first", (y + 1) / 2)
    x = first
    for d in range(3):
        inner, found = x, x
        for k in range(4):
            found = torch.cat([found, leaky(convolved(f"blocks.0.{d}.convolutions.{k}", found))], 1)
        x = inner + 0.2 * convolved(f"blocks.0.{d}.convolutions.4", found)
    x = first + convolved("body", first + 0.2 * x)
    for k in range(2):
        x = leaky(convolved(f"enlarging.{k}", x.repeat_interleave(2, -1).repeat_interleave(2, -2)))
    return convolved("last", leaky(convolved("fine", x))) * 2 - 1


def as_ncnn(weights: dict[str, Tensor]) -> bytes:
    """Weights in the order of the network: kernels in half precision after their mark, biases in single."""
    blob = bytearray()
    for name, weight in weights.items():
        half = name.endswith(".weight")
        blob += (HALF.to_bytes(4, "little") if half else b"") + weight.numpy().astype(
            "<f2" if half else "<f4"
        ).tobytes()
        blob += bytes(-len(blob) % 4)
    return bytes(blob)


def names_of_weights() -> list[str]:
    """The names of all weights, in the order of the network."""
    with torch.device("meta"):
        return list(RealEsrgan().state_dict())


@pytest.fixture(scope="module")
def blob() -> bytes:
    torch.manual_seed(1)
    return as_ncnn(RealEsrgan().requires_grad_(False).state_dict())


def test_the_network_is_that_of_the_paper() -> None:
    network, y = small().double(), rand(2, 3, 6, 9)
    assert torch.allclose(network(y), as_written(network.state_dict(), y), atol=1e-12)


def test_every_weight_comes_out_as_it_went_in(blob) -> None:
    found = load(convert(blob))
    assert as_ncnn({name: found[name] for name in names_of_weights()}) == blob


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda blob: blob[:-5], "cut short in last.bias"),
        (lambda blob: blob + bytes(8), "8 bytes are left over"),
        (lambda blob: bytes(4) + blob[4:], "first.weight is not in half precision"),
    ],
)
def test_weights_of_something_else_are_refused(blob, change, said) -> None:
    with pytest.raises(ModelError, match=said):
        convert(change(blob))


def test_parts_join_to_the_whole(monkeypatch) -> None:
    network, y = small().double(), rand(1, 3, 50, 37)
    whole = network(y).clamp(-1, 1)
    monkeypatch.setattr(real_esrgan, "TILE", 16)
    assert torch.allclose(network.enlarged(y, (200, 148)), whole, atol=1e-12)


@pytest.mark.parametrize(("channels", "size"), [(1, (32, 48)), (3, (16, 24)), (3, (64, 96))])
def test_grey_images_and_other_scales_come_out_as_asked_for(channels, size) -> None:
    image = small().double().enlarged(rand(2, channels, 8, 12), size)
    assert image.shape == (2, channels, *size)
    assert float(image.abs().max()) <= 1


def test_a_missing_and_an_altered_file_are_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="deqir models fetch real-esrgan"):
        load_real_esrgan(device="cpu")
    REAL_ESRGAN_WEIGHTS.path.parent.mkdir(parents=True)
    REAL_ESRGAN_WEIGHTS.path.write_bytes(b"something else")
    with pytest.raises(ModelError, match="altered or cut short"):
        describe_model("real-esrgan")
    with pytest.raises(ModelError, match="altered or cut short"):
        fetch_model("real-esrgan")


@needs_real_esrgan
def test_the_published_weights_enlarge_what_they_are_given() -> None:
    assert hashlib.sha256(REAL_ESRGAN_WEIGHTS.path.read_bytes()).hexdigest() == REAL_ESRGAN_WEIGHTS.sha256
    ramp = torch.linspace(-0.8, 0.8, 24)
    y = torch.stack([ramp.expand(24, 24), ramp[:, None].expand(24, 24), (ramp + ramp[:, None]) / 2])[None]
    image = load_real_esrgan(device="cpu").enlarged(y, (96, 96))
    off = SuperResolution(scale=4)(image) - y
    assert float(off.square().mean().sqrt()) < 0.05
