"""One network on several devices: the evaluations of a round are divided among its copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from deqir.hardware.devices import autocast_dtype
from deqir.protocols import Denoiser
from deqir.shapes import Float

from .prior import Prior, PriorError


class _Modes(NamedTuple):
    """Modes of torch set for a single thread: inference, gradients and autocast."""

    inference: bool
    gradients: bool
    half: torch.dtype | None

    @classmethod
    def now(cls, kind: str) -> _Modes:
        """Return this thread's modes for devices of a kind."""
        return cls(torch.is_inference_mode_enabled(), torch.is_grad_enabled(), autocast_dtype(kind))

    @contextmanager
    def set(self, kind: str) -> Iterator[None]:
        """Set the modes for this thread, inside the context."""
        half = torch.autocast(kind, self.half, enabled=self.half is not None)
        with torch.inference_mode(self.inference), torch.set_grad_enabled(self.gradients), half:
            yield


class ReplicatedDenoiser:
    """A `Denoiser` which gives each of its copies an equal share of the rows, all at the same time.

    Every copy but the first has a thread of its own, with the caller's modes (inference, gradients, autocast). Results
    are moved to the device of x_t. An error of a copy is raised after all copies have ended.

    Raises:
        ValueError: There is no copy.
    """

    def __init__(self, copies: Sequence[tuple[Denoiser, torch.device]]) -> None:
        if not copies:
            raise ValueError("a replicated denoiser needs at least one copy of the network")
        self._copies = tuple(copies)
        self._threads = ThreadPoolExecutor(max(1, len(copies) - 1), thread_name_prefix="replica")

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        parts = min(len(self._copies), len(x_t))
        shares = list(zip(x_t.tensor_split(parts), alpha_bar.tensor_split(parts), strict=True))
        modes = _Modes.now(x_t.device.type)
        pending = [
            self._threads.submit(self._ask, copy, *share, modes)
            for copy, share in zip(self._copies[1:], shares[1:], strict=False)
        ]
        try:
            answers = [self._ask(self._copies[0], *shares[0], modes)]
        finally:
            errors = [future.exception() for future in pending]
        for error in errors:
            if error is not None:
                raise error
        return torch.cat(answers + [future.result() for future in pending])

    def _ask(self, copy: tuple[Denoiser, torch.device], x: Tensor, levels: Tensor, modes: _Modes) -> Tensor:
        denoiser, device = copy
        with modes.set(device.type):
            return denoiser(x.to(device), levels.to(device)).to(x.device)


def replicate(priors: Sequence[Prior]) -> Prior:
    """Return a prior with its work divided among copies on several devices.

    Args:
        priors: The same prior loaded on each device; the chain's arithmetic runs on the first device.

    Raises:
        PriorError: The priors differ.
    """
    first = priors[0]
    others = {prior.digest for prior in priors} - {first.digest}
    if others:
        raise PriorError(
            f"the copies of prior {first.name!r} differ: SHA-256 {first.digest[:16]}... and "
            f"{min(others)[:16]}...; load the same prior on every device"
        )
    copies = [(prior.denoiser, prior.device) for prior in priors]
    return replace(first, denoiser=ReplicatedDenoiser(copies), replicas=len(copies))
