"""On another device every operator in every mode restores the CPU's images, and a round waits for the device once.

A round waits for the residuals of all its images and sends nothing. An image waits once more at its end, for A x_0 - y
(three times with the published algorithm), and at its start as often as its operator's start asks the device something
(`ASKED_AT_START`). It sends y and a given start, each once and from pinned memory; its noise is drawn on the device. A
run sends its levels and weights once. `MatrixFree` and `FramedDeblurring` wait inside of each A^+, every eighth
iteration. `from_deepinv` needs a library that is not here; it makes a `MatrixFree`.

In double precision images may differ by 1e-5 of [-1, 1]: for operators whose A^+ stops at a tolerance, and as noise is
drawn in single precision, with logarithms and cosines of either's own. In single precision they may by 2e-4, a fortieth
of a grey level: on the CPU, single and double precision differ by up to 3e-5 here, and a GPU takes its sums in yet
another order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
import torch
from torch import Tensor

from deqir import Engine, Failed, Request, Result, Settings, Tally, check_operator
from deqir.operators import FramedDeblurring
from deqir.protocols import Iterative
from tests.conformance.examples import ONE_SIDED
from tests.deqir.problems import rand, toy_denoiser
from tests.deqir.restorations import (
    ALL,
    ASKED_AT_START,
    HOWS,
    MATRIX_FREE,
    RESTORATIONS,
    How,
    asked,
    how,
    in_iterations,
    waits_of,
)
from tests.devices.waits import of_rounds, waited

CPU: Final = torch.device("cpu")
APART: Final = {torch.float64: 1e-5, torch.float32: 2e-4}
PRECISIONS: Final = tuple(APART) if torch.cuda.is_available() else (torch.float64,)
"""The stand-in computes as the CPU does in any precision."""
NOISE_APART: Final = 2e-6
"""Of noise of at most 6.7: four roundings of single precision."""


def run(requests: list[Request[int]], settings: Settings, device: torch.device) -> tuple[list[Result[int]], int]:
    """The results by their tags, and the rounds that they took."""
    tally, found = Tally(), dict[int, Result[int]]()
    for result in Engine(toy_denoiser, replace(settings, device=device)).run(requests, tally=tally):
        assert not isinstance(result, Failed)
        assert (result.image.device, result.start.device) == (device, device)
        found[result.tag] = result
    return [found[tag] for tag in sorted(found)], tally.rounds


def compare(found: list[Result[int]], expected: list[Result[int]]) -> None:
    """Images and the statistics of their solves."""
    for one, other in zip(found, expected, strict=True):
        dtype = other.image.dtype
        torch.testing.assert_close(one.image.cpu(), other.image, rtol=0, atol=APART[dtype])
        mine, yours = one.stats, other.stats
        assert (mine.outcome, mine.rounds, mine.nfe) == (yours.outcome, yours.rounds, yours.nfe)
        assert mine.frontier_history == yours.frontier_history
        least = 1e-6 if dtype == torch.float64 else 1e-3
        assert mine.residual_history == pytest.approx(yours.residual_history, rel=1e-2, abs=least)
        assert mine.data_consistency == pytest.approx(yours.data_consistency, rel=1e-2, abs=least)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize(("name", "way"), RESTORATIONS)
def test_every_operator_restores_there_what_it_does_here_and_waits_once_a_round(name, way, dtype, device) -> None:
    (A, shape), how = ALL[name], HOWS[way]
    requests = asked(A, shape, how, dtype=dtype)
    A(A.start(requests[0].y[None].to(device)))  # operators keep what they have sent
    if device.type == "cuda":
        run(requests, how.settings, device)  # and libraries set themselves up
    with waited(device) as counted:
        found, rounds = run(requests, how.settings, device)
    compare(found, run(requests, how.settings, CPU)[0])
    waits = [wait for wait in of_rounds(counted.waits) if not in_iterations(wait)]
    assert len(waits) == waits_of(name, way, rounds), waits
    assert isinstance(A, Iterative) or len(waits) == len(of_rounds(counted.waits))
    assert not counted.uploads
    edges = 2 if name == "deblur-framed" and not how.given else 0
    assert device.type == "cuda" or len(counted.streamed) == 2 + how.images * (1 + how.given + edges)


@pytest.mark.parametrize("name", ALL)
def test_every_method_of_an_operator_is_the_same_there(name, device) -> None:
    A, shape = ALL[name]
    there, here = (check_operator(A, shape, tolerance=2e-2, device=where) for where in (device, CPU))
    assert there.start_misfit == pytest.approx(here.start_misfit, abs=1e-6)


def test_iterations_are_looked_at_every_eighth_and_end_as_they_do_here(device) -> None:
    A, shape = FramedDeblurring(kernel=ONE_SIDED, tolerance=5e-3), (3, 12, 14)
    y = A(rand(2, *shape)) * torch.tensor([1.0, 0.3], dtype=torch.float64)[:, None, None, None]
    expected, far_y = A.solve(y), y.to(device)
    A.solve(far_y)
    with waited(device) as asked:
        found = A.solve(far_y)
    torch.testing.assert_close(found.x.cpu(), expected.x)
    assert found.iterations.tolist() == expected.iterations.tolist()
    most = int(expected.iterations.max())
    assert 8 < most < A.max_iterations
    assert len(asked.waits) == 1 + -(-most // 8), asked


def test_a_start_in_iterations_is_there_as_near_as_rounding_lets_it_be_here(device) -> None:
    """Conjugate gradients carry a rounding further the longer they go on, on any device."""
    requests = asked(MATRIX_FREE, MATRIX_FREE.shape, HOWS["throughput"])
    y = torch.stack([request.y for request in requests])
    rounding = torch.finfo(y.dtype).eps
    for iterations in (4, 8, 12, 20):
        A = replace(MATRIX_FREE, start_iterations=iterations)
        expected, found = A.start(y), A.start(y.to(device)).cpu()
        near = [A.start(y * (1 + rounding * rand(*y.shape, seed=n))) for n in range(4)]
        unsure = max(float((one - expected).abs().max()) for one in near)
        assert float((found - expected).abs().max()) < 30 * unsure
        assert float((A(found) - y).norm() / y.norm()) == pytest.approx(
            float((A(expected) - y).norm() / y.norm()), abs=max(1e-9, unsure)
        )


def mixed(mode: str | int, dtype: torch.dtype) -> list[Request[int]]:
    """Images of several shapes and operators."""
    requests = list[Request[int]]()
    for n, name in enumerate(("sr2", "inpaint", "colorize", "sr2", "deblur-framed", "colorize", "bicubic3x1")):
        (one,) = asked(*ALL[name], How(settings=how(mode)), dtype=dtype)
        requests.append(replace(one, tag=n, seed=n))
    return requests


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("mode", ["throughput", 2, "latency"])
@pytest.mark.parametrize("tile", [None, 8])
def test_images_of_several_shapes_and_operators_share_the_device(mode, tile, dtype, device) -> None:
    settings, requests = how(mode, tile=tile, overlap=4 if tile else None), mixed(mode, dtype)
    with waited(device) as counted:
        found, rounds = run(requests, settings, device)
    compare(found, run(requests, settings, CPU)[0])
    if device.type != "cuda":  # where what is sent first would be a wait, too
        waits = [wait for wait in of_rounds(counted.waits) if not in_iterations(wait)]
        assert len(waits) == rounds + len(requests) + ASKED_AT_START["inpaint"], waits


def test_a_given_y_may_be_there_already(device) -> None:
    requests = asked(*ALL["sr2"], HOWS["throughput"])
    there = [replace(request, y=request.y.to(device)) for request in requests]
    settings = HOWS["throughput"].settings
    compare(run(there, settings, device)[0], run(requests, settings, CPU)[0])


def test_an_image_that_is_not_finite_stops_no_other(device) -> None:
    one, other = asked(*ALL["sr2"], HOWS["throughput"])
    broken = replace(one, y=torch.full_like(one.y, torch.nan))
    settings = HOWS["throughput"].settings
    (_, found), (_, expected) = run([broken, other], settings, device)[0], run([broken, other], settings, CPU)[0]
    compare([found], [expected])


def test_a_chain_is_the_same_where_it_is_made(device) -> None:
    (request,) = asked(*ALL["sr2"], HOWS["noisy, latency"])
    here, far = (Engine(toy_denoiser, how("auto", device=where)).sampler(request) for where in (CPU, device))
    tensors: list[tuple[Tensor, Tensor]] = [(far.start, here.start), (far.noise, here.noise), (far.pinv_y, here.pinv_y)]
    for there, original in tensors:
        assert there.device == device
        torch.testing.assert_close(there.cpu(), original, rtol=0, atol=NOISE_APART)
    ends = [sampler.end(sampler.initial()).cpu() for sampler in (far, here)]
    torch.testing.assert_close(*ends, rtol=0, atol=APART[torch.float64])
