"""What a run's steps learn from, drawn in its own process or ahead of it in others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeAlias

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .data import Crops

Batch: TypeAlias = tuple[Tensor, ...]
"""What one step learns from, on the CPU."""
WAITING: Final = 4
"""Batches that each process has ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How batches are drawn; it can be pickled.

    Attributes:
        draw: Makes one of a split's crops and of what torch's own generator draws.
        data: Folder that `training.data` prepared.
        turns: Photographs may be turned by quarters.
    """

    draw: Callable[[Crops], Batch]
    data: Path
    turns: bool

    def crops(self, seed: int) -> Crops:
        """Return what draws from the photographs for training."""
        return Crops(self.data, "train", seed=seed, turns=self.turns)

    def endless(self, crops: Crops) -> Iterator[Batch]:
        """Yield batches, each drawn when it is asked for."""
        while True:
            yield self.draw(crops)

    def ahead(self, workers: int, *, pinned: bool) -> Iterator[Batch]:
        """Return batches that so many processes draw ahead, none of them with another's seed.

        The processes' seeds are drawn from torch's own generator. They live as long as what is returned.

        Args:
            workers: Processes; they begin now.
            pinned: Batches lie where a GPU fetches them while the process goes on.
        """
        context = get_context("forkserver")  # a copy of this process might hold locks of its threads for ever
        context.set_forkserver_preload([__name__])  # so that torch is imported once
        loader = DataLoader(
            _Drawn(self),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=WAITING,
            pin_memory=pinned,
            multiprocessing_context=context,
        )
        return iter(loader)


class _Drawn(IterableDataset[Batch]):
    """What one of the processes draws."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        assert worker is not None  # torch has given its own generator this seed already
        return self.drawing.endless(self.drawing.crops(worker.seed))
