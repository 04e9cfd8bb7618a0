"""What operators and chains hold, on the device and in the precision of what they are applied to."""

from __future__ import annotations

import torch
from torch import Tensor

from deqir.hardware.devices import sent


class Constant:
    """A tensor with its last copy for another device or precision: an operator is applied hundreds of times in one.

    Pickled without the copy. Threads may share it; what they write over each other is only a copy.

    Args:
        tensor: As it was given; never copied where it fits.
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
            with torch.inference_mode(False):  # what is kept may serve a caller who wants gradients next
                self._last = last = sent(self._tensor, device, dtype)
        return last

    def __reduce__(self) -> tuple[type[Constant], tuple[Tensor]]:
        return Constant, (self._tensor,)
