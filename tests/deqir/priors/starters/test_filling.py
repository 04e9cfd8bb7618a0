"""The filler: coarse to fine, with known pixels kept, for any size and mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from deqir.operators import masks
from deqir.operators.inpainting import halved, relaxed
from deqir.priors.starters import filling
from deqir.priors.starters.filling import MARGIN, MOST_NOISE, SIDE, SIZES, Beyond, Filler
from tests.deqir.priors.starters.starting import filler
from tests.deqir.problems import rand


def pictures(*shape: int, seed: int = 0) -> Tensor:
    """Random images in [-1, 1]."""
    return torch.tanh(rand(*shape, seed=seed)).float()


def one_that_returns_its_guess() -> Filler:
    """A filler whose layers pass on the first twelve planes, the guess; a guess in range is not negative."""
    network = filler(width=12)
    for layer in network.layers:
        assert isinstance(layer, nn.Conv2d)
        nn.init.dirac_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    for further in network.beyond.values():
        assert isinstance(further, Beyond)
        nn.init.zeros_(further.up.weight)
        nn.init.zeros_(further.up.bias)  # type: ignore[arg-type]
    return network


def halved_in_loops(y: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a halved plane and its halved mask, block by block."""
    size = tuple(-(-side // 2) for side in y.shape)
    means, some = np.zeros(size), np.zeros(size, dtype=bool)
    for i, j in np.ndindex(*size):
        block = (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
        known = y[block][keep[block]]
        some[i, j] = len(known) > 0
        means[i, j] = known.mean() if len(known) else 0.0
    return means, some


def relaxed_in_loops(x: np.ndarray, keep: np.ndarray, sweeps: int) -> np.ndarray:
    """Return a plane with the mean of their neighbours in the gaps; beyond the edge lies the edge."""
    for _ in range(sweeps):
        wide = np.pad(x, 1, mode="edge")
        x = np.where(keep, x, (wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]) / 4)
    return x


def enlarged_in_loops(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return a plane enlarged by two by linear interpolation between pixel centres, down and across."""
    for axis, side in enumerate(size):
        old = x.shape[axis]
        places = np.clip((np.arange(side) + 0.5) / 2 - 0.5, 0, old - 1)
        lines = [np.interp(places, np.arange(old), line) for line in np.moveaxis(x, axis, 1)]
        x = np.moveaxis(np.array(lines), 1, axis)
    return x


def diffused_in_loops(y: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Return a plane with its gaps guessed from ever larger blocks, and smoothed at each size."""
    if min(y.shape) > 1 and not keep.all():
        fine = enlarged_in_loops(diffused_in_loops(*halved_in_loops(y, keep)), y.shape)
    else:
        fine = np.full_like(y, y[keep].mean())
    return relaxed_in_loops(np.where(keep, y, fine), keep, 32)


def filled_in_loops(y: np.ndarray, keep: np.ndarray, sizes: int) -> np.ndarray:
    """Return a plane filled from its filled half, and at the smallest size by diffusion."""
    if sizes == 1 or keep.all():
        return diffused_in_loops(y, keep)
    coarse = filled_in_loops(*halved_in_loops(y, keep), sizes - 1)
    return relaxed_in_loops(np.where(keep, y, enlarged_in_loops(coarse, y.shape)), keep, 2)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_halving_takes_the_mean_of_what_is_known_of_each_block(data, height, width, in_each) -> None:
    n = (4 if in_each else 1) * height * width
    kept = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    keep = torch.tensor(kept).view(*((2, 2) if in_each else (1, 1)), height, width)
    y = rand(2, 2, height, width)
    means, some = halved(y, keep)
    for image, channel in np.ndindex(2, 2):
        own = keep.expand(2, 2, -1, -1)[image, channel].numpy()
        wanted, wanted_some = halved_in_loops(y[image, channel].numpy(), own)
        np.testing.assert_allclose(means[image, channel].numpy(), wanted, atol=1e-12)
        np.testing.assert_array_equal(some.expand(2, 2, -1, -1)[image, channel].numpy(), wanted_some)


def test_relaxation_draws_gaps_to_their_neighbours_and_leaves_the_rest() -> None:
    x, keep = rand(2, 3, 5, 8), rand(2, 3, 5, 8, seed=1) > 0
    found = relaxed(x, keep, sweeps=3)
    for image, channel in np.ndindex(2, 3):
        wanted = relaxed_in_loops(x[image, channel].numpy(), keep[image, channel].numpy(), 3)
        np.testing.assert_allclose(found[image, channel].numpy(), wanted)
    assert torch.equal(relaxed(x, keep, sweeps=0), x)


def test_relaxation_ends_in_a_plane_where_the_border_lies_in_one() -> None:
    rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    plane = (0.1 * rows - 0.2 * columns)[None, None]
    keep = torch.ones(1, 1, 7, 9, dtype=torch.bool)
    keep[..., 1:-1, 1:-1] = False
    torch.testing.assert_close(relaxed(plane * keep, keep, sweeps=500), plane)


def looked_further(further: nn.Module, h: Tensor) -> Tensor:
    """Return planes plus the output of `further`, computed at half size."""
    own = dict(further.named_parameters())

    def layer(name: str, g: Tensor, *, stride: int = 1, padding: int = 1) -> Tensor:
        return functional.conv2d(g, own[f"{name}.weight"], own[f"{name}.bias"], stride=stride, padding=padding)

    wide = torch.cat([h, h[..., -1:]], -1) if h.shape[-1] % 2 else h
    wide = torch.cat([wide, wide[..., -1:, :]], -2) if h.shape[-2] % 2 else wide
    g = layer("down", wide, stride=2).clamp(min=0)
    g = g + layer("blocks.0.1", layer("blocks.0.0", g).clamp(min=0))
    added = layer("up", g.clamp(min=0), padding=0)
    found = wide.clone()
    for i in range(2):
        for j in range(2):
            found[..., i::2, j::2] += added[:, 2 * i + j :: 4]
    return found[..., : h.shape[-2], : h.shape[-1]]


def test_the_layers_are_those_of_ffdnet_on_the_image_the_gaps_and_the_noise_and_one_looks_further() -> None:
    network, guess = filler(), pictures(2, 3, 6, 8)
    lost, noise = (rand(2, 3, 6, 8, seed=1) > 0).float(), torch.tensor([0.1, 0.2])

    def quarters(x: Tensor) -> Tensor:
        """Each channel's four pixels of a 2 x 2 block as planes."""
        planes = [x[:, c, i::2, j::2] for c in range(3) for i in range(2) for j in range(2)]
        return torch.stack(planes, 1)

    h = torch.cat([quarters((guess + 1) / 2), quarters(lost), noise.view(2, 1, 1, 1).expand(2, 1, 3, 4)], 1)
    for place, layer in enumerate(network.layers):
        assert isinstance(layer, nn.Conv2d)
        if place == 2:
            h = looked_further(network.beyond["1"], h.clamp(min=0))
        h = functional.conv2d(h if place == 0 else h.clamp(min=0), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(quarters(network(guess, lost, noise)), h * 2 - 1)


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (40, 61), (5, 7), (1, 3), (1, 1)])
@pytest.mark.parametrize("lost", [0.3, 0.95])
def test_a_network_that_returns_its_guess_fills_coarse_to_fine_as_loops_do(size, lost) -> None:
    y, keep = pictures(1, 3, *size), torch.rand(*size, generator=torch.Generator().manual_seed(1)) >= lost
    keep[0, 0] = True
    found = one_that_returns_its_guess().make_start(y, keep, 0.0)
    for channel in range(3):
        plane = y[0, channel].double().numpy()
        wanted = filled_in_loops(plane, keep.numpy(), SIZES)
        np.testing.assert_allclose(found[0, channel].numpy(), wanted, atol=1e-5)
        known = y[0, channel][keep]
        assert float(known.min()) - 1e-5 <= float(found[0, channel].min())
        assert float(found[0, channel].max()) <= float(known.max()) + 1e-5


@pytest.mark.parametrize("size", [(20, 33), (9, 4)])
def test_what_is_known_stays_as_it_is_unless_it_is_noisy(size) -> None:
    network, y, keep = filler(), pictures(2, 3, *size), masks.random(*size, lost=0.4)
    found = network.make_start(y, keep, 0.0)
    assert torch.equal(found[..., keep], y[..., keep])
    assert not bool((found[..., ~keep] == y[..., ~keep]).any())
    noisy = network.make_start(y, keep, 0.1)
    assert not bool((noisy == y).all(1)[:, keep].any())
    mixed = network.fill(y, keep[None, None], torch.tensor([0.0, 0.05]))[0]
    torch.testing.assert_close(mixed, torch.stack([found[0], noisy[1]]))


def test_what_stands_in_the_gaps_does_not_matter() -> None:
    network, y, keep = filler(), pictures(1, 3, 20, 34), masks.random(20, 34, lost=0.4)
    for sigma_y in (0.0, 0.1):
        torch.testing.assert_close(network.make_start(y * keep, keep, sigma_y), network.make_start(y, keep, sigma_y))


def asked_of(network: Filler, y: Tensor, keep: Tensor, sigma_y: float) -> list[tuple[tuple[int, int], float]]:
    """Sizes of the network's inputs, each with the noise given to it."""
    asked = list[tuple[tuple[int, int], float]]()

    def note(asked_one: nn.Module, given: tuple[Tensor, Tensor, Tensor]) -> None:
        guess, _, noise = given
        asked.append((tuple(guess.shape[-2:]), float(noise[0])))  # type: ignore[arg-type]

    with network.register_forward_pre_hook(note):
        network.make_start(y, keep, sigma_y)
    return asked


def test_each_size_is_told_half_the_noise_of_the_one_above(monkeypatch) -> None:
    """A hole too large for halving to close, in images padded to even sides for the network."""
    monkeypatch.setattr(filling, "SIZES", 4)
    keep = torch.ones(70, 130, dtype=torch.bool)
    keep[5:65, 5:125] = False
    asked = asked_of(filler(), pictures(1, 3, 70, 130), keep, 0.2)
    wanted = [((10, 18), 0.0125), ((18, 34), 0.025), ((36, 66), 0.05), ((70, 130), 0.1)]  # 9 x 17, 18 x 33, 35 x 65
    assert [size for size, _ in asked] == [size for size, _ in wanted]
    assert [noise for _, noise in asked] == pytest.approx([noise for _, noise in wanted])
    ((_, loudest),) = asked_of(filler(), pictures(1, 3, 8, 8), torch.ones(8, 8, dtype=torch.bool), 1.0)
    assert loudest == pytest.approx(MOST_NOISE)


@pytest.mark.parametrize("sizes", [1, SIZES, 9])
def test_images_are_halved_only_while_something_is_missing(sizes, monkeypatch) -> None:
    monkeypatch.setattr(filling, "SIZES", sizes)
    keep, y = torch.ones(64, 64, dtype=torch.bool), pictures(1, 3, 64, 64)
    for hole, sides in ((0, [64]), (1, [64, 32]), (4, [64, 32, 16, 8])):
        keep[20 : 20 + hole, 28 : 28 + hole] = False
        wanted = [(side, side) for side in sides[:sizes][::-1]]
        assert [size for size, _ in asked_of(filler(), y, keep, 0.1)] == wanted


def test_a_large_image_is_seen_part_by_part_as_in_one_piece(monkeypatch) -> None:
    network, y = filler(), pictures(1, 3, SIDE + 10, SIDE + 36)
    found = network.make_start(y, torch.ones(y.shape[-2:], dtype=torch.bool), 0.1)
    torch.testing.assert_close(found, network(y, torch.zeros_like(y), torch.tensor([0.05])))
    small, keep = y[..., :41, :57], masks.random(41, 57, lost=0.6)
    whole = network.make_start(small, keep, 0.1)
    monkeypatch.setattr(filling, "SIDE", 16)
    torch.testing.assert_close(network.make_start(small, keep, 0.1), whole)


@torch.no_grad()
def test_the_network_looks_no_further_than_what_it_is_shown_beyond_a_part() -> None:
    torch.manual_seed(0)
    network, noise = Filler(width=8, inner=6).double(), torch.zeros(1, dtype=torch.float64)
    for weight in network.parameters():
        weight.abs_()  # no ReLU cuts anything off
    y, edge = pictures(1, 3, 4, 400).double(), 200
    assert (SIDE % 4, MARGIN % 4, edge % 4) == (0, 0, 0)  # parts lie on the grid of its halvings
    found = network(y, torch.zeros_like(y), noise)
    for seen in (MARGIN, MARGIN - 4):
        other = y.clone()
        other[..., : edge - seen] *= -1
        same = torch.equal(network(other, torch.zeros_like(y), noise)[..., edge:], found[..., edge:])
        assert same == (seen == MARGIN)
    other = y.clone()
    other[..., edge + MARGIN :] *= -1
    assert torch.equal(network(other, torch.zeros_like(y), noise)[..., :edge], found[..., :edge])


def test_grey_images_are_filled_as_colour_ones_whose_channels_are_alike() -> None:
    network, grey, keep = filler(), pictures(2, 1, 18, 21), masks.random(18, 21, lost=0.5)
    found, colour = (network.make_start(y, keep, 0.1) for y in (grey, grey.expand(-1, 3, -1, -1)))
    assert found.shape == grey.shape
    torch.testing.assert_close(found, colour.mean(1, keepdim=True))


def test_one_plane_for_all_channels_is_the_same_mask_in_each() -> None:
    network, y, keep = filler(), pictures(2, 3, 18, 22), masks.random(18, 22, lost=0.5)
    one, same, each = (network.make_start(y, mask, 0.0) for mask in (keep, keep[None], keep.expand(3, -1, -1)))
    torch.testing.assert_close(same, one)
    torch.testing.assert_close(each, one)
    mosaic = rand(3, 18, 22) > 0
    found = network.make_start(y, mosaic, 0.0)
    assert torch.equal(found[:, mosaic], y[:, mosaic])


def test_images_with_gaps_of_their_own_are_filled_in_a_batch_as_alone() -> None:
    network, y, noise = filler(), pictures(3, 3, 33, 40), torch.tensor([0.0, 0.1, 0.05])
    keep = rand(3, 3, 33, 40, seed=1) > 0
    keep[0, :, 4:30, 4:36] = False
    keep[1] = True
    found = network.fill(y, keep, noise)[0]
    for n in range(3):
        alone = network.fill(y[n : n + 1], keep[n : n + 1], noise[n : n + 1])[0]
        torch.testing.assert_close(found[n : n + 1], alone)


def test_the_filled_images_come_at_each_size_and_in_the_precision_of_y() -> None:
    network, y, keep = filler(), pictures(1, 3, 40, 51).double(), masks.random(40, 51, lost=0.9)
    sizes = [tuple(image.shape[-2:]) for image in network.fill(y.float(), keep[None, None], torch.zeros(1))]
    assert sizes == [(40, 51), (20, 26), (10, 13)][:SIZES]
    assert network.make_start(y, keep, 0.0).dtype == torch.float64
