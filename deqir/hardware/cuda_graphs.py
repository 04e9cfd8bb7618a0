"""Network calls as CUDA graphs: on a GPU, small and deep networks wait for the launches of their kernels."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

from deqir.protocols import Denoiser
from deqir.shapes import Float

from .devices import autocast_dtype
from .memory import FEW_CALLS, MOST_PIXELS, out_of_memory

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

log = logging.getLogger(__name__)

KEPT: Final = 24
"""Most records kept; the least recently used record is dropped first."""
COUNTED: Final = 1024
"""Most kinds of calls counted; the least recently called kind is dropped first."""


class _Kind(NamedTuple):
    """The kind of calls replayed from a record."""

    rows: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    half: torch.dtype | None
    rounded: tuple[bool, bool]

    @classmethod
    def of(cls, x_t: Tensor) -> _Kind:
        rounded = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        return cls(rows_of(len(x_t)), tuple(x_t.shape[1:]), x_t.dtype, x_t.device, autocast_dtype("cuda"), rounded)


class _Place(NamedTuple):
    """The stream on which all calls are recorded, and the memory shared by them.

    Sharing is safe: records are replayed one after the other, and each result is copied at once.
    """

    stream: torch.cuda.Stream
    memory: _POOL_HANDLE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Record:
    """A recorded call with its input and output tensors."""

    graph: torch.cuda.CUDAGraph
    x_t: Tensor
    alpha_bar: Tensor
    eps: Tensor

    def __call__(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        self.x_t[: len(x_t)].copy_(x_t)
        self.alpha_bar[: len(x_t)].copy_(alpha_bar)
        self.graph.replay()
        return self.eps[: len(x_t)].clone()


class GraphedDenoiser:
    """A `Denoiser` on CUDA which records calls, each kind after `FEW_CALLS` of them, and then replays them.

    Results equal the network's up to rounding: a call is filled up to `rows_of` rows. Large calls, calls on another
    device and calls which may need gradients go to the network itself. So do all calls of a network which cannot be
    recorded because it waits for the device.

    Args:
        denoiser: Its work on the device must depend on the shapes of its arguments alone, not on their values. A
            record reads the weights at their place in memory: they may be overwritten, but not moved.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser
        self._records: OrderedDict[_Kind, _Record] = OrderedDict()
        self._calls: OrderedDict[_Kind, int] = OrderedDict()
        self._place: _Place | None = None
        self._recordable, self._one_at_a_time = True, threading.Lock()

    def __reduce__(self) -> tuple[type[GraphedDenoiser], tuple[Denoiser]]:
        """Copies, also in other processes, begin without records: a record is bound to the memory of its process."""
        return GraphedDenoiser, (self.denoiser,)

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        if not self._recordable or not recordable(x_t):
            return self.denoiser(x_t, alpha_bar)
        with self._one_at_a_time:
            kind = _Kind.of(x_t)
            record = self._records.get(kind)
            if record is None and self._counted(kind) > FEW_CALLS:
                record = self._try_to_record(kind, x_t, alpha_bar)
            if record is not None:
                self._records.move_to_end(kind)
                return record(x_t, alpha_bar)
        return self.denoiser(x_t, alpha_bar)

    def _counted(self, kind: _Kind) -> int:
        """Return the number of calls of a kind, this call included, since its last record if there was one."""
        calls = self._calls.pop(kind, 0) + 1
        self._calls[kind] = calls
        if len(self._calls) > COUNTED:
            self._calls.popitem(last=False)
        return calls

    def _try_to_record(self, kind: _Kind, x_t: Tensor, alpha_bar: Tensor) -> _Record | None:
        """Record a kind of call; None if there is no memory for it, or if the network cannot be recorded."""
        del self._calls[kind]
        if len(self._records) >= KEPT:
            self._records.popitem(last=False)
        if self._place is None:
            stream = torch.cuda.Stream(kind.device)  # type: ignore[no-untyped-call]
            self._place = _Place(stream, torch.cuda.graph_pool_handle())
        try:
            self._records[kind] = _recorded(self.denoiser, kind, x_t, alpha_bar, self._place)
        except (MemoryError, RuntimeError) as error:
            if out_of_memory(error):
                self._records.clear()
            else:
                self._recordable = False
                log.info("network calls are not recorded as CUDA graphs, as the network does not allow it: %s", error)
            return None
        return self._records[kind]


def recordable(x_t: Tensor) -> bool:
    """Return True if a call with these states may be recorded."""
    pixels = rows_of(len(x_t)) * x_t.shape[-2] * x_t.shape[-1]
    return x_t.is_cuda and pixels <= MOST_PIXELS and not torch.is_grad_enabled()


def rows_of(rows: int) -> int:
    """Return the rows of the record for a call of `rows`, at most a quarter more: 1 to 8, 10, 12, 14, 16, 20, ..."""
    step = 1 << max(0, rows.bit_length() - 3)
    return -(-rows // step) * step


def _recorded(denoiser: Denoiser, kind: _Kind, x_t: Tensor, alpha_bar: Tensor, place: _Place) -> _Record:
    half = torch.autocast("cuda", kind.half, enabled=kind.half is not None, cache_enabled=False)
    with torch.inference_mode(False), torch.no_grad(), torch.cuda.device(kind.device), half:
        states = x_t.new_zeros(kind.rows, *kind.shape).copy_(x_t[:1])
        levels = alpha_bar.new_zeros(kind.rows).copy_(alpha_bar[:1])
        current, graph = torch.cuda.current_stream(kind.device), torch.cuda.CUDAGraph()
        place.stream.wait_stream(current)
        with torch.cuda.stream(place.stream):  # libraries set themselves up, which cannot be recorded
            denoiser(states, levels)
        current.wait_stream(place.stream)
        with torch.cuda.graph(graph, pool=place.memory, stream=place.stream, capture_error_mode="thread_local"):
            eps = denoiser(states, levels)
    return _Record(graph=graph, x_t=states, alpha_bar=levels, eps=eps)
