"""The scheduler: it groups the images of a run by shape and precision and chooses the batch of the next round.

`Scheduler.schedule` returns the batch as plain data, `Scheduler.update` takes the fate of each of its images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

import torch

from .chain_start import Planned
from .image_state import ImageState
from .requests import Failed, Result, Shape
from .windows import Windows

Tag = TypeVar("Tag")
Kind = tuple[Shape, torch.dtype]

CHOICE: Final = 4
"""Batches' worth of requests that may wait, so that enough images of one shape are among them."""
PATIENCE: Final = 64
"""Rounds in a row in which images of one shape may be passed over for fuller batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[Tag]):
    """The images of one round, all of one shape.

    Attributes:
        shape: Shape (C, H, W) of each image.
        size: Most evaluations in one network call.
        window: States of each image to solve together.
        alone: The only image has the memory for itself, as memory ran out once.
    """

    shape: Shape
    size: int
    window: int
    running: tuple[ImageState[Tag], ...] = ()
    starting: tuple[Planned[Tag], ...] = ()
    alone: bool = False

    @property
    def images(self) -> tuple[ImageState[Tag] | Planned[Tag], ...]:
        return *self.running, *self.starting

    @property
    def evaluations(self) -> int:
        """Network evaluations of a round of all images."""
        return sum(state.width(self.window) for state in self.running) + self.window * len(self.starting)

    def parts(self) -> list[Batch[Tag]]:
        """Return a batch of its own for each image, in the same order."""
        bare = replace(self, running=(), starting=())
        running = [replace(bare, running=(state,)) for state in self.running]
        return running + [replace(bare, starting=(planned,)) for planned in self.starting]


@dataclass(frozen=True, slots=True)
class PutOff(Generic[Tag]):
    """An image that found no memory: it is restored alone, from its start, when nothing else is under way."""

    planned: Planned[Tag]


Fate = Result[Tag] | Failed[Tag] | PutOff[Tag] | ImageState[Tag] | Planned[Tag]
"""An image after a round: it ended, was put off, is under way, or still waits to be started."""


@dataclass(slots=True, kw_only=True)
class _Group(Generic[Tag]):
    """All images of one shape and precision.

    Attributes:
        least: The least window of the run.
        size: Most evaluations in one network call.
        running: Images under way, each with its place in the order of all starts.
        waiting: Images to start, each with its place in the order of all requests.
        steps: Steps of the longest chain.
        due: Network evaluations of the running images in a round of the least window.
    """

    kind: Kind
    least: int
    size: int
    running: dict[ImageState[Tag], int] = field(default_factory=dict)
    waiting: dict[Planned[Tag], int] = field(default_factory=dict)
    steps: int = 1
    due: int = 0

    @property
    def shape(self) -> Shape:
        return self.kind[0]

    @property
    def window(self) -> int:
        return min(self.least, self.steps)

    @property
    def first(self) -> Planned[Tag]:
        return next(iter(self.running)).planned if self.running else next(iter(self.waiting))

    def add(self, planned: Planned[Tag], place: int) -> None:
        """Take an image to start."""
        self.waiting[planned] = place
        if planned.chain.steps > self.steps:
            self.count()

    def count(self) -> None:
        """Count anew after a change of the images."""
        chains = [planned.chain for planned in self.waiting] + [state.planned.chain for state in self.running]
        self.steps = max((chain.steps for chain in chains), default=1)
        self.due = sum(state.width(self.window) for state in self.running)

    def evaluations(self, *, waiting: bool = True) -> int:
        """Return the evaluations of a round of all images, or of the running images alone."""
        return self.due + self.window * len(self.waiting) * waiting

    @property
    def full(self) -> bool:
        return self.evaluations() >= self.size

    @property
    def age(self) -> tuple[bool, int]:
        """The smaller, the older: groups with an image under way come first, in the order of starts."""
        return not self.running, next(iter(self.running.values() or self.waiting.values()))

    def rank(self, *, waiting: bool) -> tuple[float, int]:
        """Return the fill of the group's next batch; equal ones rank by the images under way."""
        return min(1.0, self.evaluations(waiting=waiting) / self.size), len(self.running)


class Scheduler(Generic[Tag]):
    """All requested images of a run that have not ended.

    `schedule` and `update` are called in turns.

    Args:
        requests: Taken only while no batch can be filled, and never more than `CHOICE` batches ahead.
        size_of: Returns the most evaluations in one network call for images like this one.
        together: False gives batches of one image.
        images: Most requests to come, if known: the last ones are then taken early and share batches evenly.
    """

    def __init__(
        self,
        requests: Iterable[Planned[Tag]],
        windows: Windows,
        size_of: Callable[[Planned[Tag]], int],
        *,
        together: bool = True,
        images: int | None = None,
    ) -> None:
        self._requests, self._more, self._left = iter(requests), True, math.inf if images is None else images
        self._windows, self._size_of, self._together = windows, size_of, together
        self._groups: dict[Kind, _Group[Tag]] = {}
        self._put_off: list[Planned[Tag]] = []
        self._passed_over: dict[Kind, int] = {}
        self._requested, self._started = itertools.count(), itertools.count()

    def schedule(self) -> Batch[Tag] | None:
        """Return the next batch, after taking requests while there is room; None when all images have ended."""
        if self._put_off and not any(group.running for group in self._groups.values()):
            planned = self._put_off[-1]
            return Batch(shape=planned.shape, size=1, window=1, starting=(planned,), alone=True)
        for group in self._groups.values():
            group.size = self._size_of(group.first)
        crowded = self._crowded
        if not crowded:
            self._fill()
        groups = [(kind, group) for kind, group in self._groups.items() if group.running or not crowded]
        groups.sort(key=lambda item: item[1].age)
        return self._batch(self._turn(dict(groups), waiting=not crowded), waiting=not crowded) if groups else None

    def update(self, batch: Batch[Tag], fates: Sequence[Fate[Tag]]) -> None:
        """Take the fate of each image of the last batch, in the order of `batch.images`."""
        for image, fate in zip(batch.images, fates, strict=True):
            if fate is image:
                continue
            if isinstance(image, ImageState):
                del self._group_of(image.planned).running[image]
            elif batch.alone:
                self._put_off.remove(image)
            else:
                del self._group_of(image).waiting[image]
            if isinstance(fate, ImageState):
                self._group_of(fate.planned).running[fate] = next(self._started)
            elif isinstance(fate, PutOff):
                self._put_off.append(fate.planned)
        group = self._group_of(batch.images[0])
        group.count()
        if not group.running and not group.waiting:
            del self._groups[group.kind]

    @property
    def _crowded(self) -> bool:
        """True if an image needs the memory for itself, or will when the others have ended."""
        return bool(self._put_off) or any(state.alone for group in self._groups.values() for state in group.running)

    def _group_of(self, image: ImageState[Tag] | Planned[Tag]) -> _Group[Tag]:
        planned = image.planned if isinstance(image, ImageState) else image
        kind = planned.shape, planned.request.y.dtype
        if kind not in self._groups:
            self._groups[kind] = _Group(kind=kind, least=self._windows.least, size=self._size_of(planned))
        return self._groups[kind]

    def _fill(self) -> None:
        """Take requests until they fill a batch, or enough of them wait."""
        groups = self._groups.values()
        due, full = sum(group.evaluations() for group in groups), any(group.full for group in groups)
        room = max((group.size for group in groups), default=1)
        while self._more:
            few_left = self._together and self._windows.least == 1 and 0 < self._left < room
            enough = full or due >= CHOICE * room or (bool(self._groups) and not self._together)
            if enough and not few_left:
                return
            planned = next(self._requests, None)
            if planned is None:
                self._more = False
                return
            self._left -= 1
            group = self._group_of(planned)
            due -= group.evaluations()
            group.add(planned, next(self._requested))
            due, full, room = due + group.evaluations(), full or group.full, max(room, group.size)

    def _turn(self, groups: Mapping[Kind, _Group[Tag]], *, waiting: bool) -> _Group[Tag]:
        """Return the group for the next round: the first in rank, or a group passed over too often."""
        passed = {kind: self._passed_over.get(kind, -1) + 1 for kind in groups}
        turn = max(passed, key=passed.__getitem__)
        if passed[turn] < PATIENCE:
            turn = max(groups, key=lambda kind: groups[kind].rank(waiting=waiting))
        self._passed_over = passed | {turn: -1}
        return groups[turn]

    def _batch(self, group: _Group[Tag], *, waiting: bool) -> Batch[Tag]:
        """Return the next batch of a group, images under way first; it holds at least one image."""
        running, starting = list(group.running), list(group.waiting) if waiting else []
        images, room = len(running) + len(starting), group.size
        window = self._windows.of_images(images, batch=room, steps=group.steps)
        if window == 1 and room < images < 2 * room and (self._left <= 0 or not self._more):
            # Of a batch and one image more, the last image would else go its whole way alone. With the longest way
            # first, all images end at about the same time.
            starting = starting[:room]
            running = sorted(running, key=lambda state: state.frontier)[: room - len(starting)]
        else:
            running, starting = self._fitting(running, starting, window, room)
        return Batch(
            shape=group.shape,
            size=group.size,
            window=window,
            running=tuple(running),
            starting=tuple(starting),
            alone=any(state.alone for state in running),
        )

    def _fitting(
        self, running: list[ImageState[Tag]], starting: list[Planned[Tag]], window: int, room: int
    ) -> tuple[list[ImageState[Tag]], list[Planned[Tag]]]:
        """Return the first images whose states fit into the room; the first image always does."""
        fitting = list[ImageState[Tag]]()
        for state in running:
            if not fitting or state.width(window) <= room:
                fitting.append(state)
                room -= state.width(window)
        most = room // window if self._together else 0
        return fitting, starting[: max(most, 0 if fitting else 1)]
