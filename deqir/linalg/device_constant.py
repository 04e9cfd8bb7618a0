"""Constant tensors of operators and chains, on the device and in the precision of their input."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir.hardware.devices import sent


class Constant:
    """A tensor and its last copy for another device or precision, as hundreds of calls in a row need the same copy.

    Pickled without the copy. Threads may share it: they can only overwrite each other's copy.

    Args:
        tensor: Used as it is wherever its device and precision fit.
    """

    __slots__ = ("_last", "_tensor")

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = self._last = tensor

    def like(self, x: Tensor) -> Tensor:
        """Return the tensor on x's device and in x's precision."""
        return self.on(x.device, x.dtype)

    def on(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return the tensor on a device and in a precision."""
        last = self._last
        if last.device != device or last.dtype != dtype:
            with torch.inference_mode(False):  # the next caller of a cached tensor may want gradients
                self._last = last = sent(self._tensor, device, dtype)
        return last

    def __reduce__(self) -> tuple[type[Constant], tuple[Tensor]]:
        return Constant, (self._tensor,)
