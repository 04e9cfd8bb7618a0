"""A second device on top of the CPU, which refuses what CUDA refuses and counts what CUDA would wait for.

Its tensors say that they are on "other" and hold a CPU tensor inside. An operation on them takes out what they hold,
runs the CPU's kernel, and puts the answer on the device again, after these questions:

- Is everything in one place? As on CUDA, a CPU tensor may meet one of the device only where it has no dimensions, in
  arithmetic of two, or where it says which elements of one on the device are meant. Nor may tensors of the two
  devices of this kind meet. Generators have to be the device's, of which there are none.
- Does the program have to wait for the device? It has where it asks for a number, a copy on the CPU, or a size that
  depends on values (nonzero, masks), where a linear solve tells whether it worked, and in a copy to the device that is
  not both from pinned memory and asked not to block.
- Is there room? All tensors together may take `MEMORY.total` bytes.

Composite operations are taken apart first, in inference mode too, so that their parts are asked. What this cannot show:
speed, kernels, streams, half precision (autocast leaves such a device alone), operations that change the shape of a
tensor in place (they are refused), and the versions of Adam for many tensors at once that CUDA has.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final
from weakref import WeakValueDictionary

import pytest
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME: Final = "other"
DEVICE, SECOND = torch.device("privateuseone", 0), torch.device("privateuseone", 1)
"""By torch's own name: the device has ours once it is registered."""
OURS_ALONE: Final = pytest.mark.skipif(
    torch.cuda.is_available(),
    reason="the stand-in takes a GPU's place in torch: tests/devices asks the GPU, CUDA_VISIBLE_DEVICES= hides it",
)
"""For tests of this device, which is registered where there is no GPU alone."""
aten: Final = torch.ops.aten
COPIES: Final = {aten.copy_, aten._to_copy}
INDEXING: Final = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
SIZED_BY_VALUES: Final = {aten.nonzero, aten.masked_select, aten._unique2, aten.bincount}
TOLD: Final = {aten._local_scalar_dense, aten.equal, aten.allclose, aten._linalg_check_errors, *SIZED_BY_VALUES}
"""Operations at whose end the program knows what only the device knew."""
WITH_NUMBERS: Final = {aten.where, aten.masked_fill, aten.masked_fill_, aten.fill_}
"""Those that take a CPU tensor without dimensions, besides arithmetic of two."""
MADE_AT_ONCE: Final = (aten.arange, aten.linspace, aten.fft_fftfreq, aten.fft_rfftfreq)
"""What torch would make by resizing an empty tensor, which cannot be done to these."""


class MixedDevicesError(RuntimeError):
    """Tensors of two devices met."""


@dataclass(slots=True)
class Traffic:
    """What a program had to do with the device, each entry an operation and the line of ours that asked for it.

    Attributes:
        waits: For what only the device knew.
        uploads: To the device, for which CUDA makes the program wait, too.
        streamed: To the device, from pinned memory and without waiting.
    """

    waits: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    streamed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Memory:
    """The memory of all devices together, in bytes."""

    total: int = 2**30
    used: int = 0
    peak: int = 0


MEMORY: Final = Memory()
CALLED: Final = list[str]()
"""Functions of the backend that were called, of those that do nothing here."""
_COUNTING: Final = list[Traffic]()
_LOCK: Final = threading.RLock()


@contextmanager
def traffic() -> Iterator[Traffic]:
    """Count what is asked of the devices, on all threads."""
    counted = Traffic()
    _COUNTING.append(counted)
    try:
        yield counted
    finally:
        _COUNTING[:] = [other for other in _COUNTING if other is not counted]


class OtherTensor(Tensor):
    """A tensor on the device; `held` is what it holds."""

    held: Tensor
    _block: _Block

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor, device: torch.device) -> OtherTensor:
        block = _Block.of(held)
        with torch.inference_mode(held.is_inference()):  # a view of a normal tensor is one also in inference mode
            made: OtherTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                held.shape,
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=device,
            )
        made.held, made._block = held, block
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: OpOverload, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if _is_composite(func):
            return func.decompose(*args, **kwargs)
        return _run(func, args, kwargs)

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, other: OtherTensor) -> None:
        torch.Tensor.data.__set__(self, other)  # type: ignore[attr-defined]
        self.held, self._block = other.held, other._block

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, bool | int | float):  # of which torch makes a tensor, for CUDA alone one on the CPU
            value = torch.tensor(value, dtype=self.dtype)
        super().__setitem__(index, value)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def new_tensor(self, data: Any, dtype: torch.dtype | None = None, **others: Any) -> Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=self.device, **others)

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"OtherTensor({self.held!r}, device={str(self.device)!r})"


class _Block:
    """The memory of some tensors that share it."""

    __slots__ = ("__weakref__", "_size")
    _known: ClassVar[WeakValueDictionary[int, _Block]] = WeakValueDictionary()

    def __init__(self, size: int) -> None:
        self._size = 0
        if MEMORY.used + size > MEMORY.total:
            raise torch.OutOfMemoryError(f"{size} bytes on top of {MEMORY.used} are more than {MEMORY.total}")
        self._size = size
        MEMORY.used += size
        MEMORY.peak = max(MEMORY.peak, MEMORY.used)

    @classmethod
    def of(cls, held: Tensor) -> _Block:
        storage = held.untyped_storage()
        with _LOCK:
            block = cls._known.get(storage.data_ptr())
            if block is None:
                block = cls._known[storage.data_ptr()] = cls(storage.nbytes())
            return block

    def __del__(self, lock: threading.RLock = _LOCK, memory: Memory = MEMORY) -> None:  # also where the module has gone
        with lock:
            memory.used -= self._size


@cache
def _is_composite(func: OpOverload) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def _run(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU, and put what it makes where it belongs."""
    tensors = list(_tensors((*args, *kwargs.values())))
    home = next((tensor.device for tensor in tensors if isinstance(tensor, OtherTensor)), DEVICE)
    where = _full(kwargs.get("device") or home)
    _refuse_mixtures(func, args, kwargs, tensors)
    _count(func, args, kwargs, where)
    by_inner = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OtherTensor)}
    bare_args, bare_kwargs = _mapped(args, _bare), {name: _mapped(value, _bare) for name, value in kwargs.items()}
    if bare_kwargs.get("device") is not None:
        bare_kwargs["device"] = torch.device("cpu")
    if func is aten._conj.default:  # a view, whose mark would not be seen on what is inside
        with torch.inference_mode(tensors[0].is_inference()):
            answer = bare_args[0].conj_physical()
    else:
        answer = func(*bare_args, **bare_kwargs)
    for tensor in by_inner.values():
        if tensor.shape != tensor.held.shape or tensor.stride() != tensor.held.stride():
            raise NotImplementedError(f"{func} changes the shape of a tensor in place")

    def placed(made: Tensor) -> Tensor:
        if id(made) in by_inner:
            return by_inner[id(made)]
        if where.type == "cpu":
            return (
                made.clone() if any(made.data_ptr() == tensor.held.data_ptr() for tensor in by_inner.values()) else made
            )
        return OtherTensor(made, where)

    return args[0] if func.overloadpacket is aten.copy_ else _mapped(answer, placed)


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _mapped(value: Any, function: Callable[[Tensor], Any]) -> Any:
    """Return a tensor, or tensors in lists and tuples, each put through a function."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)([_mapped(one, function) for one in value])
    return value


def _bare(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, OtherTensor) else tensor


def _full(device: torch.device | str) -> torch.device:
    device = torch.device(device)
    return torch.device(NAME, device.index or 0) if device.type == NAME else device


def _refuse_mixtures(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]) -> None:
    packet, first = func.overloadpacket, args[0] if args else None
    if kwargs.get("generator") is not None:
        raise MixedDevicesError(f"{func} was given a generator of {kwargs['generator'].device}")
    if packet in COPIES or len({tensor.device for tensor in tensors}) < 2:
        return
    strangers = [tensor for tensor in tensors if not isinstance(tensor, OtherTensor)]
    if packet in INDEXING and isinstance(first, OtherTensor):
        strangers = [tensor for tensor in args[2:3] if not isinstance(tensor, OtherTensor) and tensor.ndim]
    elif packet in WITH_NUMBERS or (torch.Tag.pointwise in func.tags and len(tensors) == 2):
        changed = first if func._schema.is_mutable else None
        strangers = [tensor for tensor in strangers if tensor.ndim or tensor is changed]
    devices = {tensor.device for tensor in tensors if isinstance(tensor, OtherTensor)}
    if strangers or len(devices) > 1:
        shapes = [(str(tensor.device), tuple(tensor.shape)) for tensor in tensors]
        raise MixedDevicesError(f"{func} expects all tensors to be on the same device, got {shapes}")


def _count(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], where: torch.device) -> None:
    packet = func.overloadpacket
    if packet is aten._to_copy and where.type == "cpu":
        _note("waits", func)
    elif packet is aten.copy_:
        target, source = args[:2]
        asked = (args[2] if len(args) > 2 else kwargs.get("non_blocking", False)) and source.is_pinned()
        if not isinstance(target, OtherTensor):
            _note("waits", func)
        elif not isinstance(source, OtherTensor):
            _note("streamed" if asked and source.dtype == target.dtype else "uploads", func)
    elif packet in INDEXING:
        _count_indexing(func, args)
    elif packet in TOLD:
        _note("waits", func)


def _count_indexing(func: OpOverload, args: tuple[Any, ...]) -> None:
    """Count indices, masks and numbers: those that are on the CPU are sent, what a mask picks is waited for.

    A number that is put where one mask says is filled in, which takes neither.
    """
    indices = [index for index in args[1] if isinstance(index, Tensor)]
    there = [index for index in indices if isinstance(index, OtherTensor)]
    masks = sum(index.dtype in (torch.bool, torch.uint8) for index in there)
    is_number = len(args) > 2 and not isinstance(args[2], OtherTensor)
    if is_number and masks == len(indices) == 1:
        return
    for kind, times in (("waits", masks), ("uploads", len(indices) - len(there) + is_number)):
        for _ in range(times):
            _note(kind, func)


def _note(kind: str, func: OpOverload) -> None:
    if not _COUNTING:
        return
    frame, line = sys._getframe(), "elsewhere"
    while (frame := frame.f_back) is not None:  # type: ignore[assignment]
        path = Path(frame.f_code.co_filename)
        if "deqir" in path.parts and "tests" not in path.parts:
            line = f"{path.name}:{frame.f_lineno} {frame.f_code.co_name}"
            break
    for counted in _COUNTING:
        getattr(counted, kind).append(f"{func} in {line}")


class _Backend:
    """What torch.other is: the functions that a program may ask of a device, as torch.cuda has them."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """There are no generators."""

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 2

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def synchronize(self, device: torch.device | None = None) -> None:
        CALLED.append("synchronize")

    def empty_cache(self) -> None:
        CALLED.append("empty_cache")

    def mem_get_info(self, device: torch.device | None = None) -> tuple[int, int]:
        return MEMORY.total - MEMORY.used, MEMORY.total

    def max_memory_allocated(self, device: torch.device | None = None) -> int:
        return MEMORY.peak

    def reset_peak_memory_stats(self, device: torch.device | None = None) -> None:
        MEMORY.peak = MEMORY.used


def _made(func: OpOverload, *args: Any, **kwargs: Any) -> Any:
    """Make a tensor of nothing but sizes and numbers."""
    return _run(func, args, kwargs | {"device": kwargs.get("device") or DEVICE})


def _pinned(x: Tensor, device: torch.device | None = None) -> Tensor:
    copy = x.clone()
    copy.pinned = True  # type: ignore[attr-defined]
    return copy


@cache
def register() -> tuple[torch.library.Library, ...]:
    """Make the device known to torch, for good; returns what has to be kept.

    Not where there is a GPU: torch takes it for the one accelerator of the process from then on, and pinned memory is
    the stand-in's.
    """
    _setup_privateuseone_for_python_backend(NAME, _Backend())
    anything, ours = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    anything.fallback(_made, "PrivateUse1")
    anything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for packet in MADE_AT_ONCE:
        for overload in packet.overloads():
            func = getattr(packet, overload)
            if any(argument.name == "device" for argument in func._schema.arguments):
                ours.impl(
                    func.name().removeprefix("aten::"), lambda *a, _f=func, **k: _made(_f, *a, **k), "PrivateUse1"
                )
    # torch.tensor copies what it has made with the subclass's own dispatch switched off
    ours.impl("copy_", lambda *args, **kwargs: _run(aten.copy_.default, args, kwargs), "PrivateUse1")
    ours.impl("_pin_memory", _pinned, "CPU")
    ours.impl("is_pinned", lambda x, device=None: getattr(x, "pinned", False), "CPU")
    return anything, ours
