"""Tiles: the answers of a network that sees a large image piece by piece, against those for the whole image."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from deqir import Engine, Failed, Request, Restorer, Result, Settings, Tally, load_prior, replicate
from deqir.engine.tiling import TiledDenoiser, Tiling, Tilings, tiled
from deqir.operators import Colorization, Inpainting, SuperResolution
from deqir.protocols import Denoiser
from tests.deqir.problems import rand, toy_denoiser
from tests.deqir.unets import save_as_prior, small_unet
from tests.dispatching import Operations
from tests.weights import needs_ffdnet

T = 4
STEPS = Settings(steps=T, start_noise=0.2, denoiser_batch=2)


class Convolutions:
    """A denoiser of three 5 x 5 convolutions: a pixel depends on those at most 6 away, and on no other."""

    def __init__(self) -> None:
        weights = [rand(3, 3, 5, 5, seed=seed) / 5 for seed in range(3)]
        self.weights = [weight - 0.1 for weight in weights]  # borders show: a constant image gets no constant answer

    def __call__(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        h = x_t + alpha_bar.to(x_t)[:, None, None, None]
        for weight in self.weights:
            h = functional.conv2d(h, weight.to(x_t), padding=2).tanh()
        return h


class Watching:
    """A denoiser that notes the shapes it is given, and raises MemoryError above so many pixels a call."""

    def __init__(self, denoiser: Denoiser, *, most: float = float("inf")) -> None:
        self.denoiser, self.most, self.shapes = denoiser, most, list[tuple[int, ...]]()

    def __call__(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        if len(x_t) * x_t.shape[-2] * x_t.shape[-1] > self.most:
            raise MemoryError
        self.shapes.append(tuple(x_t.shape))
        return self.denoiser(x_t, alpha_bar)

    @property
    def pixels(self) -> int:
        """The most in one call."""
        return max(shape[0] * shape[2] * shape[3] for shape in self.shapes)


def levels(images: int) -> Tensor:
    return torch.linspace(0.5, 0.9, images, dtype=torch.float64)


def request(height: int, width: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Request[int]:
    """An image of this size with four fifths of its pixels missing."""
    keep = torch.rand(height, width, generator=torch.Generator().manual_seed(1)) > 0.8
    y = (rand(1, 3, height, width, seed=seed).clamp(-1, 1) * keep).to(dtype)
    return Request(y=y[0], operator=Inpainting(keep=keep), seed=seed, tag=seed)


sides, tiles = st.integers(1, 90), st.integers(1, 40)


@settings(deadline=None, max_examples=100)
@given(side=sides, tile=tiles, share=st.floats(0, 0.5), multiple=st.sampled_from([1, 2, 8]))
@example(side=64, tile=16, share=0.0, multiple=1)
def test_the_weights_of_all_tiles_add_up_to_one_at_every_pixel(side, tile, share, multiple) -> None:
    tiling = Tiling.fitted(tile, int(tile * share), multiple=multiple)
    side = -(-side // multiple) * multiple  # as a prior pads it
    total, seen = torch.zeros(side, dtype=torch.float64), torch.zeros(side, dtype=torch.float64)
    strips = tiling.strips(side, total)
    for strip in strips:
        assert strip.span.start % multiple == 0
        assert 0 <= strip.span.start < strip.span.stop <= side
        assert bool((strip.weight >= 0).all())
        total[strip.span] += strip.weight
        seen[strip.span] += 1
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-15)
    if len(strips) > 1:
        assert {strip.span.stop - strip.span.start for strip in strips} == {tiling.tile}
        shared = [a.span.stop - b.span.start for a, b in pairwise(strips)]
        assert min(shared) >= int(tile * share)


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 70), width=st.integers(1, 70), batch=st.integers(1, 7), images=st.integers(1, 3))
@example(height=24, width=24, batch=1, images=2)
def test_a_network_that_looks_no_farther_than_the_overlap_covers_gives_the_whole_images_answer(
    height, width, batch, images
) -> None:
    network, x = Convolutions(), rand(images, 3, height, width)
    seen = Watching(network)
    denoiser = TiledDenoiser(denoiser=seen, tiling=Tiling.fitted(32, 16), batch=batch)
    torch.testing.assert_close(denoiser(x, levels(images)), network(x, levels(images)), rtol=1e-12, atol=1e-12)
    if max(height, width) > 32:
        assert seen.pixels <= batch * 32 * 32
    else:
        assert seen.shapes == [(images, 3, height, width)]


def test_where_the_overlap_covers_less_the_answer_differs_by_less_the_more_it_covers() -> None:
    network, x = Convolutions(), rand(1, 3, 80, 80)
    whole, errors = network(x, levels(1)), list[float]()
    for overlap in (0, 4, 8, 12):
        found = tiled(network, Tiling.fitted(32, overlap))(x, levels(1))
        errors.append(float((found - whole).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 100 * errors[-1] > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("side", [(37, 53), (64, 20), (21, 1)])
def test_a_tiled_prior_pads_the_image_and_not_its_tiles(tiny_prior, side, dtype) -> None:
    """Tiles keep to the grid of a network that works on blocks of pixels, at any size; its limits stay."""
    prior = load_prior(tiny_prior, device="cpu")
    prior.denoiser.network.to(dtype)  # type: ignore[attr-defined]
    cut = tiled(prior, Tiling.fitted(31, 15, multiple=prior.multiple), batch=3)
    x = rand(2, 3, *side).to(dtype)
    close = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(cut(x, levels(2)), prior(x, levels(2)), rtol=0, atol=close)
    assert replace(cut, denoiser=prior.denoiser) == prior  # type: ignore[type-var]


def test_tiles_are_divided_among_replicas(tiny_prior) -> None:
    def restored(copies: int) -> Tensor:
        prior = replicate([load_prior(tiny_prior, device="cpu") for _ in range(copies)])
        one = request(40, 56, dtype=torch.float32)
        return result_of(prior, one, Settings(steps=T, start_noise=0.2, tile=24, overlap=12)).image

    torch.testing.assert_close(restored(3), restored(1), rtol=0, atol=1e-5)


def result_of(denoiser: Denoiser, one: Request[int], how: Settings, *, tally: Tally | None = None) -> Result[int]:
    (result,) = Engine(denoiser, how).run([one], tally=tally)
    assert isinstance(result, Result)
    return result


@pytest.mark.parametrize("mode", ["throughput", 3, "latency", "paper"])
def test_a_tiled_restoration_is_the_whole_images_and_says_how_it_was_cut(mode) -> None:
    network, one = Convolutions(), request(60, 44)
    how = replace(STEPS, mode=mode)
    whole, cut = result_of(network, one, how), result_of(network, one, replace(how, tile=32, overlap=16))
    torch.testing.assert_close(cut.image, whole.image, rtol=1e-9, atol=1e-9)
    assert (whole.stats.tile, cut.stats.tile) == (None, 32)
    assert cut.stats == replace(
        whole.stats,
        tile=32,
        data_consistency=cut.stats.data_consistency,
        residual_final=cut.stats.residual_final,
        residual_history=cut.stats.residual_history,
    )


@pytest.mark.parametrize("A", [SuperResolution(scale=2), Colorization()], ids=["sr", "colorize"])
def test_the_data_are_met_exactly_across_the_borders_of_tiles(A) -> None:
    """A acts on the whole image: even a tile without any overlap leaves nothing of y unexplained."""
    y = A(rand(2, 3, 40, 56).clamp(-1, 1))
    found = Restorer(toy_denoiser, steps=T, start_noise=0.2, tile=16, overlap=0)(y, A)
    torch.testing.assert_close(A(found.images), y)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("images", [1, 5])
def test_no_call_of_the_network_sees_more_pixels_than_a_batch_of_tiles(batch, images) -> None:
    network, tally = Watching(toy_denoiser), Tally()
    requests = [request(50, 70, seed=seed) for seed in range(images)] + [request(20, 20, seed=99)]
    how = replace(STEPS, denoiser_batch=batch, tile=32, overlap=8)
    assert len(list(Engine(network, how).run(requests, tally=tally))) == images + 1
    assert network.pixels <= batch * 32 * 32
    assert tally.evaluations == T * (images + 1)


GRADIENT = torch.linspace(-0.7, 0.7, 192)[None, None, :] * torch.tensor([1.0, 0.6, -0.8])[:, None, None]
SKY = (GRADIENT + torch.linspace(-0.2, 0.2, 160)[:, None]).clamp(-1, 1)
"""A plain gradient, 160 x 192: less than a grey level of 255 from each pixel to the next."""


WINDOW = torch.exp(-((torch.arange(-20, 21) / 5) ** 2) / 2)


def local_mean(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """Takes a weighted mean of 41 x 41 pixels for the image, 0 beyond its border: borders of tiles are dark."""
    root, weights = alpha_bar.sqrt().to(x_t)[:, None, None, None], (WINDOW / WINDOW.sum()).expand(3, 1, 1, 41)
    x0_hat = functional.conv2d(x_t / root, weights, padding=(0, 20), groups=3)
    x0_hat = functional.conv2d(x0_hat, weights.mT, padding=(20, 0), groups=3)
    return (x_t - root * x0_hat) / (1 - root**2).sqrt()


def largest_step(denoiser: Denoiser, how: Settings) -> float:
    """By how much more a pixel of the plain gradient differs from its neighbour than without tiles, in grey levels."""
    A = SuperResolution(scale=4)
    one = Request(y=A(SKY[None])[0], operator=A, seed=1, tag=0)
    excess = 127.5 * (result_of(denoiser, one, how).image - result_of(denoiser, one, replace(how, tile=None)).image)
    return max(float(excess.diff(dim=axis).abs().max()) for axis in (1, 2))


def test_a_plain_gradient_has_no_step_at_the_borders_of_tiles() -> None:
    """The network leaves a wide dark frame around whatever it sees; blending takes the frames out."""
    assert largest_step(local_mean, Settings(steps=5, tile=64, overlap=0)) > 5
    assert largest_step(local_mean, Settings(steps=5, tile=64, overlap=32)) < 1


@needs_ffdnet
@pytest.mark.ffdnet
def test_a_plain_gradient_restored_by_ffdnet_has_no_step_at_the_borders_of_tiles() -> None:
    prior = load_prior("ffdnet", device="cpu")
    assert largest_step(prior, Settings(steps=3, tile=96, overlap=32)) < 0.25


def test_an_image_that_does_not_fit_is_restored_in_tiles_as_if_they_had_been_asked_for() -> None:
    """300 x 130 pixels where 5000 fit: tiles of 128 x 128 do not, those of 64 x 64 do."""
    one, tally = request(300, 130), Tally()
    network = Watching(Convolutions(), most=5000)
    found = result_of(network, one, STEPS, tally=tally)
    asked = result_of(Convolutions(), one, replace(STEPS, tile=64))
    assert (found.stats.tile, found.stats.rounds, found.stats.fallback) == (64, T, False)
    assert tally.halvings == 2
    torch.testing.assert_close(found.image, asked.image, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["throughput", "latency", "paper"])
def test_small_images_stay_whole_beside_large_ones_and_later_large_ones_are_cut_at_once(mode) -> None:
    network, tally = Watching(Convolutions(), most=5000), Tally()
    requests = [request(30, 30, seed=1), request(150, 90, seed=2), request(30, 30, seed=3), request(90, 150, seed=4)]
    how = replace(STEPS, mode=mode)
    engine = Engine(network, how)
    results = {result.tag: result for result in engine.run(requests, tally=tally)}
    assert {tag: result.stats.tile for tag, result in results.items()} == {1: None, 2: 64, 3: None, 4: 64}  # type: ignore[union-attr]
    halvings = tally.halvings
    (again,) = engine.run([request(150, 90, seed=2)], tally=tally)
    assert tally.halvings == halvings
    for found in (again, results[2]):
        assert isinstance(found, Result)
        asked = result_of(Convolutions(), requests[1], replace(how, tile=64))
        torch.testing.assert_close(found.image, asked.image, rtol=1e-9, atol=1e-9)


def test_tiles_are_cut_and_weighed_without_a_transfer_once_their_places_are_known() -> None:
    def scaling(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        return x_t * alpha_bar[:, None, None, None]

    cut = TiledDenoiser(denoiser=scaling, tiling=Tiling.fitted(32, 8), batch=3)
    x, levels = rand(2, 3, 70, 50), torch.tensor([0.3, 0.7], dtype=torch.float64)
    first = cut(x, levels)
    with Operations() as seen:
        again = cut(x, levels)
    assert seen.copies == seen.counts["aten._local_scalar_dense.default"] == 0
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    torch.testing.assert_close(again, scaling(x, levels))


def test_what_no_tile_helps_is_too_large_and_teaches_nothing() -> None:
    def full_for_bright_ones(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        if float(x_t.max()) > 10:
            raise MemoryError
        return toy_denoiser(x_t, alpha_bar)

    bad, engine = request(150, 90, seed=1), Engine(full_for_bright_ones, STEPS)
    bad = replace(bad, y=bad.y * 0 + 20, operator=Inpainting(keep=torch.ones(150, 90, dtype=torch.bool)))
    results = {result.tag: result for result in engine.run([bad, request(150, 90, seed=2)])}
    assert isinstance(results[1], Failed)
    (later,) = engine.run([request(150, 90, seed=3)])
    for fine in (results[2], later):
        assert isinstance(fine, Result)
        assert fine.stats.tile is None


@settings(deadline=None, max_examples=50)
@given(height=st.integers(1, 5000), width=st.integers(1, 5000), tile=st.none() | st.integers(16, 600))
def test_each_time_that_memory_runs_out_a_call_gets_at_most_half_the_pixels_until_tiles_are_as_small_as_they_may_be(
    height, width, tile
) -> None:
    tilings, image = Tilings(toy_denoiser, tile=tile, overlap=None), (3, height, width)
    seen = tilings.seen(image)
    while tilings.halve(image):
        smaller = tilings.seen(image)
        assert 2 * smaller[1] * smaller[2] <= seen[1] * seen[2] or max(smaller) < 128
        seen = smaller
    assert max(seen) <= max(64, min(127, tile or 64))
    assert tilings.seen(image) == Tilings(toy_denoiser, tile=tile, overlap=None).seen(image)  # nothing was learnt


@pytest.mark.parametrize(("native", "tile", "seen"), [(32, None, (32, 32)), (32, 48, (48, 40)), (None, None, (56, 40))])
def test_a_diffusion_network_sees_images_of_the_size_it_was_trained_at(tmp_path, native, tile, seen) -> None:
    save_as_prior(small_unet(sample_size=native), tmp_path)
    prior = load_prior(str(tmp_path), device="cpu")
    network = Watching(prior.denoiser)
    one = request(56, 40, dtype=torch.float32)
    found = result_of(replace(prior, denoiser=network), one, Settings(steps=1, start_noise=0.2, tile=tile))
    assert {shape[-2:] for shape in network.shapes} == {seen}
    assert found.stats.tile == (tile or native)


def test_a_diffusion_network_is_not_given_less_than_its_own_size_for_want_of_memory(tiny_prior) -> None:
    prior = replace(load_prior(tiny_prior, device="cpu"), native=128)
    full = replace(prior, denoiser=Watching(prior.denoiser, most=100 * 100))
    (result,) = Engine(full, STEPS).run([request(150, 150, dtype=torch.float32)])
    assert isinstance(result, Failed)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"tile": 0}, "tile must be at least 1 or None, got 0"),
        ({"tile": 64, "overlap": 33}, "overlap must be 0 to 32, half of a tile of 64 pixels, got 33"),
        ({"overlap": -1}, "overlap must be 0 or more, got -1"),
    ],
)
def test_tiles_that_cannot_be_are_refused(values, says) -> None:
    with pytest.raises(ValueError, match=says):
        Settings(**values)  # type: ignore[arg-type]
