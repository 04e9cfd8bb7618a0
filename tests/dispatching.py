"""Which of torch's own operations some code comes down to."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from torch.utils._python_dispatch import TorchDispatchMode

COPIES: Final = ("aten._to_copy.default", "aten.lift_fresh.default")
"""Another device or precision, and a tensor out of Python's numbers: on an accelerator both wait for a transfer."""


class Operations(TorchDispatchMode):
    """Counts them while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))

    @property
    def copies(self) -> int:
        return sum(self.counts[name] for name in COPIES)
