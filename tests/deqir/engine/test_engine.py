"""Continuous batching against the sequential chain of each image alone, in float64."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deqir import ConvergenceStats, Engine, Failed, Outcome, Request, Restorer, Result, Settings, Tally
from deqir.engine.chain_start import Planned, Span
from deqir.engine.image_state import ImageState
from deqir.engine.requests import StartKind
from deqir.engine.round import run_round
from deqir.operators import Colorization, ConvergenceError, Inpainting, MatrixFree, SuperResolution
from deqir.priors.starters.starters import Skills
from deqir.protocols import Denoiser, LinearOperator
from deqir.restore import SURROGATES
from deqir.sampling.sampler import Sampler
from deqir.settings import Defaults
from tests.deqir.priors.starters.starting import prior_with, starters
from tests.deqir.problems import OPERATORS, Counting, make_sampler, rand, toy_denoiser

T = 6
STEPS = Settings(steps=T, start_noise=0.2, denoiser_batch=4)
SIZES = ((8, 8), (8, 12), (12, 8), (16, 8), (4, 20))
WINDOWS = ("throughput", 2, 3, "latency")
windows = pytest.mark.parametrize("mode", WINDOWS)


def archive(images: int) -> list[Request[int]]:
    """Images of five sizes and three operators."""
    requests = list[Request[int]]()
    masks = {size: torch.rand(size, generator=torch.Generator().manual_seed(1)) > 0.4 for size in SIZES}
    inpainting = {size: Inpainting(keep=mask) for size, mask in masks.items()}
    for n in range(images):
        size = SIZES[n * n % 5]
        operators: tuple[LinearOperator, ...] = (SuperResolution(scale=2), inpainting[size], Colorization())
        A = operators[n % 3]
        y = A(rand(1, 3, *size, seed=n).clamp(-1, 1))[0]
        requests.append(Request(y=y, operator=A, seed=n, tag=n))
    return requests


def alone(request: Request[int]) -> Tensor:
    """The end of the request's sequential chain."""
    restorer = Restorer(toy_denoiser, steps=T, start_noise=0.2, mode="throughput")
    return restorer(request.y[None], request.operator, seeds=[request.seed]).images[0]


def run(
    requests: Iterator[Request[int]] | list[Request[int]],
    settings: Settings,
    *,
    denoiser: Denoiser = toy_denoiser,
    tally: Tally | None = None,
) -> dict[int, Result[int]]:
    results = dict[int, Result[int]]()
    for result in Engine(denoiser, settings).run(requests, tally=tally):
        assert isinstance(result, Result)
        results[result.tag] = result
    return results


@windows
def test_images_of_any_size_and_operator_side_by_side_end_as_their_own_chains(mode) -> None:
    requests = archive(17)
    results = run(requests, replace(STEPS, mode=mode, tolerance=1e-12))
    assert len(results) == 17
    for request in requests:
        torch.testing.assert_close(results[request.tag].image, alone(request))


@windows
def test_an_image_has_the_same_result_and_the_same_counts_beside_others(mode) -> None:
    requests, settings = archive(11), replace(STEPS, mode=mode, tolerance=1e-3)
    together = run(requests, settings)
    for request in requests:
        by_itself = run([request], settings)[request.tag]
        torch.testing.assert_close(by_itself.image, together[request.tag].image)
        assert by_itself.stats.frontier_history == together[request.tag].stats.frontier_history
        assert by_itself.stats.nfe == together[request.tag].stats.nfe


@windows
def test_all_evaluations_are_counted_once(mode) -> None:
    counting, tally = Counting(), Tally()
    results = run(archive(13), replace(STEPS, mode=mode, tolerance=1e-3), denoiser=counting, tally=tally)
    assert sum(counting.rows) == tally.evaluations == sum(result.stats.nfe for result in results.values())
    assert (len(counting.rows), max(counting.rows)) == (tally.calls, 4)
    assert tally.images == 13


def test_window_1_takes_one_call_a_step_for_a_batch_of_images() -> None:
    tally = Tally()
    results = run(archive(37)[::5], replace(STEPS, denoiser_batch=8, mode=1), tally=tally)
    assert {result.stats.rounds for result in results.values()} == {T}
    assert {result.stats.useful for result in results.values()} == {1.0}
    same_size = [replace(request, tag=n) for n, request in enumerate(archive(1) * 8)]
    tally = Tally()
    run(same_size, replace(STEPS, denoiser_batch=8, mode=1), tally=tally)
    assert (tally.calls, tally.occupancy) == (T, 1.0)


def test_a_waiting_image_takes_the_place_of_one_that_is_done_at_once() -> None:
    """Images of different difficulty leave one by one; the batch stays full until none waits."""
    requests, counting = archive(60)[::5], Counting()  # of one size
    results = run(requests, replace(STEPS, mode=3, tolerance=1e-2, denoiser_batch=9), denoiser=counting)
    assert len({result.stats.rounds for result in results.values()}) > 1
    due = sum(result.stats.nfe for result in results.values())
    assert len(counting.rows) <= due // 9 + T


@pytest.mark.parametrize(("images", "rounds"), [(17, 7), (33, 13)])
@pytest.mark.parametrize("mode", ["auto", "throughput"])
def test_images_that_do_not_fill_a_last_batch_cost_their_share_of_rounds(images, rounds, mode) -> None:
    """One image more than a batch would else take as many rounds again: 12 for 17 images, not 7."""
    (first,), settings = archive(1), replace(STEPS, mode=mode, denoiser_batch=16)
    requests = [replace(first, seed=n, tag=n) for n in range(images)]
    ends = Restorer(toy_denoiser, steps=T, start_noise=0.2, mode="throughput", denoiser_batch=images)(
        first.y.expand(images, -1, -1, -1), first.operator, seeds=range(images)
    )
    for source, count in ((requests, None), (iter(requests), images + 2)):
        tally, done = Tally(), dict[int, Tensor]()
        for result in Engine(toy_denoiser, settings).run(source, tally=tally, images=count):
            assert isinstance(result, Result)
            done[result.tag] = result.image
        assert tally.rounds == rounds
        torch.testing.assert_close(torch.stack([done[n] for n in range(images)]), ends.images)


def test_37_images_of_five_sizes_and_three_operators_fill_the_batches() -> None:
    tally, until_the_last = Tally(), 1.0

    def watching() -> Iterator[Request[int]]:
        nonlocal until_the_last
        yield from archive(37)
        until_the_last = tally.occupancy

    assert len(run(watching(), replace(STEPS, mode="throughput", denoiser_batch=8), tally=tally)) == 37
    assert until_the_last >= 0.9


@pytest.mark.parametrize("batch", [1, 4])
def test_requests_are_taken_only_as_there_is_room(batch) -> None:
    taken, done = 0, 0

    def counted() -> Iterator[Request[int]]:
        nonlocal taken
        for request in archive(40):
            assert taken - done <= 4 * batch
            taken += 1
            yield request

    for _ in Engine(toy_denoiser, replace(STEPS, mode="throughput", denoiser_batch=batch)).run(counted()):
        assert batch > 1 or taken - done == 1
        done += 1
    assert done == 40


@windows
def test_nan_ends_its_image_within_one_round_and_alone(mode) -> None:
    requests = [replace(request, tag=n) for n, request in enumerate(archive(1) * 6)]
    requests[2] = replace(requests[2], y=requests[2].y * 0 + 0.9)

    def breaks(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        bright = x_t.flatten(1).mean(1) > 0.6
        return torch.where(bright[:, None, None, None], torch.nan, toy_denoiser(x_t, alpha_bar))

    results = run(requests, replace(STEPS, mode=mode), denoiser=breaks)
    assert [n for n, result in results.items() if result.stats.outcome is Outcome.NONFINITE] == [2]
    assert results[2].stats.rounds == 1


def test_guesses_that_break_do_not_break_the_image() -> None:
    """Only the state at the frontier has to be finite: the image goes on from it step by step."""
    calls = list[int]()

    def breaks_on_guesses(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        calls.append(len(x_t))
        eps = toy_denoiser(x_t, alpha_bar)
        if len(calls) == 1:
            eps[1:] = torch.nan
        return eps

    (request,) = archive(1)
    settings = replace(STEPS, mode="latency", denoiser_batch=T)
    (result,) = run([request], settings, denoiser=breaks_on_guesses).values()
    torch.testing.assert_close(result.image, alone(request))
    assert (result.stats.outcome, result.stats.fallback) == (Outcome.MAX_ROUNDS, True)
    assert calls == [T] + [1] * (T - 1)


def test_a_batch_that_outgrows_the_memory_is_halved_and_nothing_is_lost() -> None:
    def small_machine(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        if len(x_t) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return toy_denoiser(x_t, alpha_bar)

    tally, requests = Tally(), [replace(request, tag=n) for n, request in enumerate(archive(1) * 16)]
    results = run(requests, replace(STEPS, denoiser_batch=16), denoiser=small_machine, tally=tally)
    assert tally.halvings == 3
    assert len(results) == 16
    for result in results.values():
        torch.testing.assert_close(result.image, alone(requests[0]))


def test_an_image_that_never_fits_is_said_so_and_the_others_are_restored() -> None:
    def small_machine(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        if x_t.shape[-1] == 20:
            raise MemoryError
        return toy_denoiser(x_t, alpha_bar)

    requests = archive(10)
    results = list(Engine(small_machine, STEPS).run(requests))
    too_large = {result.tag for result in results if isinstance(result, Failed)}
    assert too_large == {request.tag for request in requests if request.y.shape[-1] == 20 or request.y.shape[-1] == 10}
    assert len(results) == 10
    with pytest.raises(MemoryError):
        Restorer(small_machine, steps=2)(torch.zeros(1, 3, 8, 10), SuperResolution(scale=2))


def sensor(bright: float = 3.0) -> MatrixFree:
    """A pooling, solved by one iteration; where it is too bright each pixel has a gain of its own, and three do not."""
    pool, gains = SuperResolution(scale=2), torch.linspace(0.2, 2, 24, dtype=torch.float64).view(4, 6)

    def forward(x: Tensor) -> Tensor:
        y: Tensor = pool(x)
        return torch.where(y.abs().amax((1, 2, 3), keepdim=True) > bright, gains * y, y)

    return MatrixFree(forward=forward, transpose=pool.adjoint, shape=(3, 8, 12), max_iterations=3)


def brightens(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """The toy denoiser, but that in the chain's second half bright images are predicted a hundred times as bright."""
    level, eps = alpha_bar.to(x_t)[:, None, None, None], toy_denoiser(x_t, alpha_bar)
    x0_hat = (x_t - (1 - level).sqrt() * eps) / level.sqrt()
    bright = (x0_hat.mean((1, 2, 3), keepdim=True) > 0.3) & (level > 0.98)
    return torch.where(bright, (x_t - level.sqrt() * 100 * x0_hat) / (1 - level).sqrt(), eps)


@pytest.mark.parametrize("mode", [*WINDOWS, "paper"])
def test_an_image_that_its_operator_cannot_invert_ends_alone_and_the_others_are_as_without_it(mode) -> None:
    """Some at their start, some on the way, in batches of images that share the operator with them."""
    A, at_start, on_the_way = sensor(), {2, 5}, {3, 8}
    sizes = [100.0 if n in at_start else 0.2 for n in range(10)]
    requests = [
        Request(y=sizes[n] * rand(3, 4, 6, seed=n) + 0.8 * (n in on_the_way) - 0.2, operator=A, seed=n, tag=n)
        for n in range(10)
    ]
    how, tally = replace(STEPS, mode=mode, tolerance=1e-3), Tally()
    results = {result.tag: result for result in Engine(brightens, how).run(requests, tally=tally)}
    failed = {tag: one for tag, one in results.items() if isinstance(one, Failed)}
    assert set(failed) == at_start | on_the_way
    assert all(isinstance(one.error, ConvergenceError) and one.shape == (3, 8, 12) for one in failed.values())
    assert tally.images == len(results) == 10
    for request in (request for request in requests if request.tag not in failed):
        found, (by_itself,) = results[request.tag], run([request], how, denoiser=brightens).values()
        assert isinstance(found, Result)
        torch.testing.assert_close(found.image, by_itself.image, rtol=1e-9, atol=1e-9)
        assert counts(found.stats) == counts(by_itself.stats)
        assert found.stats.residual_history == pytest.approx(by_itself.stats.residual_history, rel=1e-6, abs=1e-12)
        assert found.stats.data_consistency == pytest.approx(by_itself.stats.data_consistency, rel=1e-6, abs=1e-12)


def counts(stats: ConvergenceStats) -> ConvergenceStats:
    """What rounding does not touch."""
    return replace(stats, residual_final=0.0, residual_history=(), data_consistency=0.0)


def test_what_is_given_up_holds_no_tensor_and_neither_does_the_engine_when_it_goes_on() -> None:
    A, batches, outlived = sensor(), list[weakref.ref[Tensor]](), list[bool]()
    requests = [
        Request(y=0.2 * rand(3, 4, 6, seed=n) + 0.8 * (n == 3) - 0.2, operator=A, seed=n, tag=n) for n in (2, 3)
    ]

    def watching(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        if len(x_t) == 2:
            batches.append(weakref.ref(x_t))
        outlived.extend(batch() is not None for batch in batches if len(x_t) == 1)
        return brightens(x_t, alpha_bar)

    failed = [one for one in Engine(watching, STEPS).run(requests) if isinstance(one, Failed)]
    failed += [one for one in Engine(never_fits, STEPS).run(requests) if isinstance(one, Failed)]
    assert [(type(one.error), one.tag) for one in failed] == [(ConvergenceError, 3), (MemoryError, 3), (MemoryError, 2)]
    assert not any(
        (one.error.__traceback__, one.error.__context__, one.error.__cause__) != (None,) * 3 for one in failed
    )
    assert outlived
    assert not any(outlived)


def never_fits(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    try:
        torch.empty(2**50)  # a petabyte
    except RuntimeError as error:
        raise MemoryError from error
    return x_t


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError, ConvergenceError])
@pytest.mark.parametrize(("mode", "images"), [("throughput", 1), ("throughput", 4), ("latency", 1), ("paper", 1)])
def test_an_image_is_not_lost_when_it_can_no_longer_be_compared_with_y(mode, images, error) -> None:
    """The operator is called last for that comparison, once for each image."""
    pool, calls, most = SuperResolution(scale=2), 0, math.inf

    def forward(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > most:
            raise error("that was too much")
        return pool(x)

    A = MatrixFree(forward=forward, transpose=pool.adjoint, shape=(3, 8, 12))
    requests = [Request(y=rand(3, 4, 6, seed=n), operator=A, seed=n, tag=n) for n in range(images)]
    settings, tally = replace(STEPS, mode=mode, within_range=False), Tally()
    whole = run(requests, settings)
    calls, most = 0, calls - images
    cut = run(requests, settings, tally=tally)
    assert calls == most + images
    assert (tally.images, tally.halvings, len(cut)) == (images, 0, images)
    for tag, result in cut.items():
        assert torch.equal(result.image, whole[tag].image)
        assert math.isnan(result.stats.data_consistency)
        assert replace(result.stats, data_consistency=0.0) == replace(whole[tag].stats, data_consistency=0.0)


def test_the_front_door_says_which_image_its_operator_could_not_invert() -> None:
    y = torch.stack([0.02 * rand(3, 4, 6), 1.9 * rand(3, 4, 6, seed=1).sign()])
    with pytest.raises(ConvergenceError, match="allow more iterations") as raised:
        Restorer(toy_denoiser, steps=T, start_noise=0.05)(y, sensor(bright=0.4))
    assert raised.value.__notes__ == ["while restoring image 1 of the 2 given"]


@windows
def test_an_image_that_finds_no_memory_beside_others_is_restored_after_them(mode) -> None:
    requests, calls = archive(6), list[int]()

    def full_at_first(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        calls.append(x_t.shape[-1])
        if calls.count(12) == 1 and x_t.shape[-1] == 12:
            raise MemoryError
        return toy_denoiser(x_t, alpha_bar)

    results = run(requests, replace(STEPS, mode=mode, denoiser_batch=1, tolerance=1e-12), denoiser=full_at_first)
    for request in requests:
        torch.testing.assert_close(results[request.tag].image, alone(request))


@settings(deadline=None, max_examples=25)
@given(widths=st.lists(st.integers(1, 8), min_size=8, max_size=8), name=st.sampled_from(sorted(OPERATORS)))
def test_a_window_that_widens_and_narrows_never_leaves_the_chain(widths, name) -> None:
    sampler = make_sampler(OPERATORS[name], steps=8, images=1)
    image, states = image_of(sampler, tolerance=0.0), list(sampler.sequential(sampler.initial()))
    for width in widths:
        if not image.done:
            before = image.frontier
            run_round(toy_denoiser, [image], window=width, batch=3, tally=Tally())
            assert image.frontier > before
    assert image.done  # one state a round at the least
    torch.testing.assert_close(image.result().image, states[-1][0])


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_the_full_window_is_the_joint_map(surrogate) -> None:
    from deqir import Picard
    from deqir.fixed_point.joint_map import JointMap

    sampler = make_sampler(OPERATORS["sr2"], images=1)
    image, rounds = image_of(sampler, tolerance=0.0, surrogate=surrogate), 4
    for _ in range(rounds):
        run_round(toy_denoiser, [image], window=T, batch=16, tally=Tally())
    solver = Picard(tol=0.0, max_rounds=rounds)
    found = solver(JointMap(sampler, SURROGATES[surrogate]), sampler.frozen())
    assert image.frontier == rounds
    worst = found.residual[1:, 0].amax(1)  # what the first residual is compared with differs by rounding alone
    stats = image.result().stats
    torch.testing.assert_close(torch.tensor(stats.residual_history[1:], dtype=torch.float64), worst)


def image_of(sampler: Sampler, *, tolerance: float, surrogate: str = "secant") -> ImageState[int]:
    request = Request(y=sampler.A(sampler.start)[0], operator=sampler.A, seed=0, tag=0)
    span = Span(noise=0.3, end=6 / 255, steps=sampler.chain.steps, kind=StartKind.OWN)
    planned = Planned(request=request, shape=request.shape, span=span, chain=sampler.chain)
    chosen = SURROGATES[surrogate]  # type: ignore[index]
    most = sampler.chain.steps
    return ImageState(planned, sampler, chosen, tolerance=tolerance, max_rounds=most, bounded=False)


def test_no_requests_no_results() -> None:
    assert list(Engine(toy_denoiser, STEPS).run([])) == []


def test_chains_start_from_what_is_given_and_agree_with_y() -> None:
    """The start has y's block means and the given image's details; beside others in a run it changes nothing."""
    A, settings = SuperResolution(scale=2), Settings(steps=4, denoiser_batch=4)
    y, pictures = rand(3, 3, 4, 6), rand(3, 3, 8, 12, seed=1)
    requests = [Request(y=y[n], operator=A, seed=n, tag=n, start=pictures[n] if n != 1 else None) for n in range(3)]
    together = {result.tag: result for result in Engine(toy_denoiser, settings).run(requests)}
    for request in requests:
        (alone,) = Engine(toy_denoiser, settings).run([request])
        found = together[request.tag]
        assert isinstance(found, Result)
        assert isinstance(alone, Result)
        assert torch.allclose(found.image, alone.image, atol=1e-12)
        assert torch.allclose(A(found.start[None])[0], request.y, atol=1e-12)
        own = request.start if request.start is not None else A.start(request.y[None])[0]
        assert torch.allclose(found.start - A.pinv(A(found.start[None]))[0], own - A.pinv(A(own[None]))[0], atol=1e-12)


def test_a_given_start_has_its_own_noise_and_its_own_size() -> None:
    A, engine = SuperResolution(scale=2), Engine(toy_denoiser, Settings(steps=2, denoiser_batch=1))
    y, picture = rand(3, 4, 6), rand(3, 8, 12)
    with_start = engine.sampler(Request(y=y, operator=A, seed=0, tag=0, start=picture))
    without = engine.sampler(Request(y=y, operator=A, seed=0, tag=0))
    assert float(with_start.chain.sigma[0]) == pytest.approx(2 * Defaults.GIVEN_NOISE)
    assert float(without.chain.sigma[0]) == pytest.approx(2 * A.start_noise)
    with pytest.raises(ValueError, match=r"has shape \(3, 8, 8\), the image to restore \(3, 8, 12\)"):
        engine.sampler(Request(y=y, operator=A, seed=0, tag=0, start=picture[..., :8]))


def test_a_noisy_image_does_not_change_the_start_that_it_is_given() -> None:
    A, picture = SuperResolution(scale=2), rand(3, 8, 12)
    engine = Engine(toy_denoiser, Settings(steps=2, denoiser_batch=1))
    sampler = engine.sampler(Request(y=rand(3, 4, 6), operator=A, seed=0, tag=0, sigma_y=0.1, start=picture))
    assert torch.equal(sampler.start[0], picture)


@pytest.mark.parametrize("mode", ["auto", "latency", "paper"])
def test_a_result_has_the_steps_the_noise_and_the_origin_of_its_start(mode) -> None:
    A, prior = SuperResolution(scale=2), prior_with(starters(Skills(enlarges=(2,))))
    y, picture = rand(3, 4, 6).float(), rand(3, 8, 12).float()
    requests = [Request(y=y, operator=A, seed=0, tag=0), Request(y=y, operator=A, seed=0, tag=1, start=picture)]
    settings = Settings(steps=5, mode=mode)  # type: ignore[arg-type]
    own = (5, A.start_noise, StartKind.OWN)
    made = own if mode == "paper" else (Defaults.MADE_STEPS, Defaults.MADE_NOISE, StartKind.MADE)
    for network, without in ((toy_denoiser, own), (prior, made)):
        results = [result for result in Engine(network, settings).run(requests) if isinstance(result, Result)]
        facts = {result.tag: (result.steps, result.start_noise, result.start_kind) for result in results}
        assert facts == {0: without, 1: (5, Defaults.GIVEN_NOISE, StartKind.GIVEN)}
