"""The other device refuses what CUDA refuses, counts what CUDA waits for, and computes what the CPU does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.other_device import MEMORY, OURS_ALONE, MixedDevicesError, OtherTensor, Traffic, register, traffic

pytestmark = OURS_ALONE
Use = Callable[[Tensor, Tensor], object]
"""Of a tensor on the device and one of the same shape on the CPU."""

MIXTURES: dict[str, Use] = {
    "a sum": lambda x, c: x + c,
    "a sum, the other way round": lambda x, c: c + x,
    "a sum in place": lambda x, c: x.add_(c),
    "a sum into the CPU": lambda x, c: c.add_(x),
    "a sum into a number on the CPU": lambda x, c: torch.zeros(()).add_(x.sum()),
    "a product of matrices": lambda x, c: x @ c.mT,
    "a convolution": lambda x, c: functional.conv2d(x[None, None], c[None, None]),
    "cat": lambda x, c: torch.cat([x, c]),
    "stack of numbers": lambda x, c: torch.stack([x.sum(), c.sum()]),
    "where": lambda x, c: torch.where(x > 0, x, c),
    "where by a mask on the CPU": lambda x, c: torch.where(c > 0, x, x),
    "lerp with a number": lambda x, c: torch.lerp(x, x, torch.tensor(0.5)),
    "clamp to numbers": lambda x, c: x.clamp(torch.tensor(0.0), torch.tensor(1.0)),
    "index_select": lambda x, c: x.index_select(0, torch.tensor([0])),
    "searchsorted": lambda x, c: torch.searchsorted(torch.tensor([0.0, 1.0]), x),
    "elements of the CPU by indices of the device": lambda x, c: c[torch.zeros(2, dtype=torch.long, device=x.device)],
    "a plane put at indices": lambda x, c: x.index_put_((torch.tensor([0], device=x.device),), c[:1]),
    "two devices": lambda x, c: x + x.to("other:1"),
    "noise by the CPU's generator": lambda x, c: x.normal_(generator=torch.Generator()),
    "new noise by the CPU's generator": lambda x, c: torch.randn(2, generator=torch.Generator(), device=x.device),
}


def put(x: Tensor, index: object, value: object) -> Tensor:
    changed = x.clone()
    changed[index] = value  # type: ignore[index, assignment]
    return changed


ALLOWED: dict[str, Use] = {
    "a number times": lambda x, c: 2 * torch.tensor(3.0) * x,
    "where with a number": lambda x, c: torch.where(x > 0, x, torch.tensor(0.5)),
    "filled with a number": lambda x, c: x.clone().fill_(torch.tensor(0.5)),
    "a number put into a row": lambda x, c: x.clone().index_fill_(0, torch.tensor([0], device=x.device), 0.5),
    "a number put at indices": lambda x, c: put(x, torch.tensor([0], device=x.device), 0.5),
    "a number put at a place": lambda x, c: put(x, (0, 1), 0.5),
    "a number put where a mask says": lambda x, c: put(x, x > 0, 0.5),
    "elements by indices of the CPU": lambda x, c: x[torch.tensor([1, 0])],
    "elements by a mask of the CPU": lambda x, c: x[c[:, 0] > 0],
    "a copy": lambda x, c: x.clone().copy_(c),
    "a row copied": lambda x, c: x.clone()[0].copy_(c[0]),
}
WAITS: dict[str, Use] = {
    "item": lambda x, c: x.sum().item(),
    "float": lambda x, c: float(x.sum()),
    "bool": lambda x, c: bool((x > 0).any()),
    "tolist": lambda x, c: x.tolist(),
    "cpu": lambda x, c: x.cpu(),
    "to": lambda x, c: x.to(torch.float64).to("cpu"),
    "copy_": lambda x, c: c.clone().copy_(x),
    "nonzero": lambda x, c: x.nonzero(),
    "a mask": lambda x, c: x[x > 0],
    "a mask to put at": lambda x, c: x.clone().index_put_((x > 0,), x[:1, 0]),
    "equal": lambda x, c: torch.equal(x, x),
    "allclose": lambda x, c: torch.allclose(x, x),
    "solve": lambda x, c: torch.linalg.solve(x @ x.mT, x),
}
UPLOADS: dict[str, Use] = {
    "to": lambda x, c: c.to(x.device),
    "to, said not to block": lambda x, c: c.to(x.device, non_blocking=True),
    "to, from pinned memory": lambda x, c: c.pin_memory().to(x.device),
    "to, in another precision": lambda x, c: c.pin_memory().to(x.device, torch.float64, non_blocking=True),
    "copy_": lambda x, c: x.clone().copy_(c),
    "tensor": lambda x, c: torch.tensor([1.0], device=x.device),
    "new_tensor": lambda x, c: x.new_tensor([1.0]),
    "indices of the CPU": lambda x, c: x[torch.tensor([0])],
    "a list of indices": lambda x, c: x[[0, 1]],
    "a number put at indices": lambda x, c: put(x, torch.arange(2, device=x.device), 0.5),
    "a number put at indices of one column": lambda x, c: put(x, (torch.arange(2, device=x.device), 1), 0.5),
    "a number of the CPU put at indices": lambda x, c: put(x, torch.arange(2, device=x.device), torch.tensor(0.5)),
    "a number put at a place": lambda x, c: put(x, (0, 1), 0.5),
}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    register()


@pytest.fixture
def c() -> Tensor:
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def x(c: Tensor) -> Tensor:
    return c.to("other")


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("inference", [False, True])
def test_what_is_in_two_places_does_not_meet(name, inference, x, c) -> None:
    with torch.inference_mode(inference), pytest.raises(MixedDevicesError):
        MIXTURES[name](x.clone(), c.clone())


@pytest.mark.parametrize("name", ALLOWED)
def test_numbers_and_indices_of_the_cpu_are_taken(name, x, c) -> None:
    made = ALLOWED[name](x, c)
    assert isinstance(made, OtherTensor)
    expected = ALLOWED[name](c, c)
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(made.cpu(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("inference", [False, True])
def test_what_only_the_device_knows_is_waited_for(name, inference, x, c) -> None:
    with torch.inference_mode(inference), traffic() as counted:
        WAITS[name](x, c)
    assert len(counted.waits) == 1
    assert not counted.uploads


@pytest.mark.parametrize("name", UPLOADS)
def test_what_is_sent_is_counted(name, x, c) -> None:
    with traffic() as counted:
        UPLOADS[name](x, c)
    assert (len(counted.uploads), counted.waits, counted.streamed) == (1, [], [])


def test_only_pinned_memory_is_sent_without_waiting(x, c) -> None:
    with traffic() as counted:
        sent = c.pin_memory().to(x.device, non_blocking=True)
    assert (len(counted.streamed), counted.waits, counted.uploads) == (1, [], [])
    torch.testing.assert_close(sent.cpu(), c, rtol=0, atol=0)


def test_arithmetic_shapes_and_new_tensors_cost_nothing(x) -> None:
    with traffic() as counted:
        y = torch.zeros(2, 3, device="other") + torch.arange(3, device="other") * torch.linspace(
            0, 1, 3, device="other"
        )
        y[:, 0] = 1.0
        y[y > 0.5] = 2.0
        y[:, 1].index_fill_(0, torch.arange(2, device="other"), 3.0)
        y = torch.cat([torch.where(x > 0, y, 0.0), x.new_full((1, 3), 0.5)]).flatten().view(3, 3).mT
        torch.fft.irfft2(torch.fft.rfft2(y) * torch.fft.rfftfreq(3, device="other"), s=(3, 3))
        assert y.shape == (3, 3)
    assert counted == Traffic()


def test_conjugates_are_the_cpus(x, c) -> None:
    def twisted(x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        return torch.fft.irfft2((spectrum.conj() * spectrum.square()).conj(), s=x.shape)

    torch.testing.assert_close(twisted(x).cpu(), twisted(c))


def test_gradients_are_the_cpus(x, c) -> None:
    def slope(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        loss = functional.conv2d(x[None, None].tanh(), x[None, None, :2, :2]).square().sum()
        return torch.autograd.grad(loss, x)[0]

    assert isinstance(slope(x), OtherTensor)
    torch.testing.assert_close(slope(x).cpu(), slope(c))


def test_views_share_their_memory_which_is_finite(x, monkeypatch) -> None:
    before = MEMORY.used
    views = [x[0], x.mT, x.flatten()]
    views[0].zero_()
    assert MEMORY.used == before
    assert not bool(views[1][:, 0].any())
    more = torch.zeros(100, device="other")
    assert MEMORY.used == before + more.nbytes
    del more
    assert MEMORY.used == before
    monkeypatch.setattr(MEMORY, "total", before + 399)
    with pytest.raises(torch.OutOfMemoryError):
        torch.zeros(100, device="other")


def test_it_has_no_arrays(x) -> None:
    with pytest.raises((TypeError, RuntimeError)):
        x.numpy()
