"""Training batches, drawn in the run's own process or ahead of it in other processes."""

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
"""The batch of one step, on the CPU."""
WAITING: Final = 4
"""Batches kept ready by each process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The way of drawing batches; it can be pickled.

    Attributes:
        draw: Makes a batch from a split's crops and torch's own generator.
        data: Folder prepared by `training.data`.
        turns: Photographs may be turned by quarters.
    """

    draw: Callable[[Crops], Batch]
    data: Path
    turns: bool

    def crops(self, seed: int) -> Crops:
        """Return the crops of the training photographs."""
        return Crops(self.data, "train", seed=seed, turns=self.turns)

    def endless(self, crops: Crops) -> Iterator[Batch]:
        """Yield batches, each drawn on request."""
        while True:
            yield self.draw(crops)

    def ahead(self, workers: int, *, pinned: bool) -> Iterator[Batch]:
        """Return batches drawn ahead by `workers` processes, each with its own seed.

        The processes' seeds are drawn from torch's own generator. The processes live as long as the returned iterator.

        Args:
            workers: Number of processes; they begin now.
            pinned: Batches lie in pinned memory, from which a GPU fetches them while the process goes on.
        """
        context = get_context("forkserver")  # a copy of this process might hold locks of its threads for ever
        context.set_forkserver_preload([__name__])  # torch is then imported only once
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
    """The batches drawn by one process."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        assert worker is not None  # torch has given its own generator this seed already
        return self.drawing.endless(self.drawing.crops(worker.seed))
