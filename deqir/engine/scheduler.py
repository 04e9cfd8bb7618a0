"""Who takes part in the next round: requests that wait, images that are under way, and which of them go together."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from .image_state import Flight
from .requests import Request
from .windows import Pace, Windows

Tag = TypeVar("Tag")
Shape = tuple[int, int, int]

CHOICE: Final = 4
"""Batches' worth of requests that may wait, so that images of one shape are found among others."""
PATIENCE: Final = 64
"""Rounds in a row in which images of one shape may be passed over for others that fill their batch."""


@dataclass(slots=True, kw_only=True)
class Crew(Generic[Tag]):
    """Images of one shape: those that could take part in a round, or those that do.

    Attributes:
        shape: Of the images, (C, H, W).
        batch: Most evaluations in one network call.
        window: States of each image that are solved together.
        steps: Of the longest chain among them.
        flying: Those under way.
        starting: Those to be started.
        alone: The one image is to have the memory for itself.
    """

    shape: Shape
    batch: int
    window: int
    steps: int
    flying: list[Flight[Tag]] = field(default_factory=list)
    starting: list[Request[Tag]] = field(default_factory=list)
    alone: bool = False

    @property
    def images(self) -> int:
        return len(self.flying) + len(self.starting)

    @property
    def first(self) -> Request[Tag]:
        """One of its requests, or that of an image under way, where there are any images."""
        return self.starting[0] if self.starting else self.flying[0].request

    def parts(self) -> list[Crew[Tag]]:
        """Return each image as a crew of its own."""
        bare = replace(self, flying=[], starting=[])
        flying = [replace(bare, flying=[flight]) for flight in self.flying]
        return flying + [replace(bare, starting=[request]) for request in self.starting]

    @property
    def evaluations(self) -> int:
        """Network evaluations that a round of all of them takes."""
        return sum(flight.width(self.window) for flight in self.flying) + self.window * len(self.starting)

    @property
    def full(self) -> bool:
        return self.evaluations >= self.batch

    @property
    def rank(self) -> tuple[float, int]:
        """The fuller its batch, the sooner; among full ones, where more is under way."""
        return min(1.0, self.evaluations / self.batch), len(self.flying)


class Pool(Generic[Tag]):
    """All images of a run that were asked for and are not done.

    Args:
        requests: Taken only while no batch can be filled, and never more than `CHOICE` batches ahead.
        windows: The windows of the run.
        batch_of: Evaluations of an image like this in one network call.
        steps_of: Steps of its chain.
        pace_of: What rounds of images like this take; None where it is not known.
        crowd: False gives one image at a time.
        images: Most requests to come, if that is known: the last ones are then taken early, so that they share
            batches evenly.
    """

    def __init__(
        self,
        requests: Iterable[Request[Tag]],
        windows: Windows,
        batch_of: Callable[[Request[Tag]], int],
        steps_of: Callable[[Request[Tag]], int],
        pace_of: Callable[[Request[Tag]], Pace | None],
        *,
        crowd: bool = True,
        images: int | None = None,
    ) -> None:
        self._requests, self._more, self._left = iter(requests), True, math.inf if images is None else images
        self._windows, self._batch_of, self._steps_of, self._crowd = windows, batch_of, steps_of, crowd
        self._pace_of = pace_of
        self._waiting: list[Request[Tag]] = []
        self._flying: list[Flight[Tag]] = []
        self._deferred: list[Request[Tag]] = []
        self._passed_over: dict[Hashable, int] = {}

    def crew(self) -> Crew[Tag] | None:
        """Return the images of the next round, after taking requests while there is room; None at the end."""
        if self._deferred and not self._flying:
            request = self._deferred.pop()
            return Crew(shape=shape_of(request), batch=1, window=1, steps=1, starting=[request], alone=True)
        groups = self._groups()
        while self._more and not self._crowded and not self._enough(groups.values()):
            self._take()
            groups = self._groups()
        return self._chosen(groups[self._turn(groups)]) if groups else None

    def start(self, crew: Crew[Tag], request: Request[Tag], flight: Flight[Tag]) -> None:
        """Move a request of a crew to those under way, as the flight that it has become."""
        self.drop(crew, request)
        crew.flying.append(flight)
        self._flying.append(flight)

    def drop(self, crew: Crew[Tag], request: Request[Tag]) -> None:
        """Let a request go that was not started."""
        crew.starting.remove(request)
        if not crew.alone:
            self._waiting.remove(request)

    def end(self, flight: Flight[Tag]) -> None:
        """Let an image go that was under way."""
        self._flying.remove(flight)

    def let_go(self, crew: Crew[Tag]) -> Request[Tag]:
        """Let the only image of a crew go, for good or to be deferred."""
        if crew.starting:
            (request,) = crew.starting
            self.drop(crew, request)
            return request
        (flight,) = crew.flying
        self.end(flight)
        return flight.request

    def put_off(self, crew: Crew[Tag]) -> Request[Tag] | None:
        """Let the only image of a crew go until all others are done; return it if it was alone already."""
        alone = crew.alone or any(flight.alone for flight in crew.flying)
        request = self.let_go(crew)
        if alone:
            return request
        self.defer(request)
        return None

    def defer(self, request: Request[Tag]) -> None:
        """Restore a request that was let go from its start, alone, when nothing else is under way."""
        self._deferred.append(request)

    @property
    def _crowded(self) -> bool:
        """Whether an image needs the memory for itself, or will once the others are done."""
        return bool(self._deferred) or any(flight.alone for flight in self._flying)

    def _turn(self, groups: Mapping[Hashable, Crew[Tag]]) -> Hashable:
        """Return the group whose turn it is: the first in rank, but for one that has been passed over too often."""
        passed = {key: self._passed_over.get(key, -1) + 1 for key in groups}
        turn = max(passed, key=passed.__getitem__)
        if passed[turn] < PATIENCE:
            turn = max(groups, key=lambda key: groups[key].rank)
        self._passed_over = passed | {turn: -1}
        return turn

    def _groups(self) -> dict[Hashable, Crew[Tag]]:
        """Return all images by shape and precision, at their least window; only those under way if it is crowded."""
        groups = dict[Hashable, Crew[Tag]]()

        def group(request: Request[Tag], steps: int) -> Crew[Tag]:
            shape = shape_of(request)
            key = (shape, request.y.dtype)
            if key not in groups:
                groups[key] = Crew(shape=shape, batch=self._batch_of(request), window=1, steps=1)
            found = groups[key]
            found.steps = max(found.steps, steps)
            found.window = min(self._windows.least, found.steps)
            return found

        for flight in self._flying:
            group(flight.request, flight.sampler.chain.steps).flying.append(flight)
        for request in [] if self._crowded else self._waiting:
            group(request, self._steps_of(request)).starting.append(request)
        return groups

    def _enough(self, groups: Collection[Crew[Tag]]) -> bool:
        """Whether a batch can be filled, or so much waits that taking more would not help."""
        due, room = sum(group.evaluations for group in groups), max((group.batch for group in groups), default=1)
        if self._crowd and self._windows.least == 1 and 0 < self._left < room:
            return False
        return any(group.full for group in groups) or due >= CHOICE * room or (bool(groups) and not self._crowd)

    def _take(self) -> None:
        try:
            self._waiting.append(next(self._requests))
            self._left -= 1
        except StopIteration:
            self._more = False

    def _chosen(self, group: Crew[Tag]) -> Crew[Tag]:
        """Return those of a group that fill a batch, those under way first, at least one of them."""
        window = self._windows.wide(group.batch, group.images, group.steps, self._pace_of(group.first))
        if window == 1 and group.batch < group.images < 2 * group.batch and (self._left <= 0 or not self._more):
            return _furthest_behind(group)
        crew: Crew[Tag] = Crew(shape=group.shape, batch=group.batch, window=window, steps=group.steps)
        room = crew.batch
        for flight in group.flying:
            if not crew.images or flight.width(window) <= room:
                crew.flying.append(flight)
                room -= flight.width(window)
        for request in group.starting:
            if crew.images and (not self._crowd or window > room):
                break
            crew.starting.append(request)
            room -= window
        return crew


def _furthest_behind(group: Crew[Tag]) -> Crew[Tag]:
    """Return the images of a group that have most of their way before them, so that all end at about the same time.

    Of a batch and one image more, the one would else go its whole way alone, for as many rounds as all others took.
    """
    starting = group.starting[: group.batch]
    flying = sorted(group.flying, key=lambda flight: flight.frontier)[: group.batch - len(starting)]
    return replace(group, window=1, flying=flying, starting=starting)


def shape_of(request: Request[Any]) -> Shape:
    """Return the shape of the image behind a request's y."""
    return request.operator.image_shape(tuple(request.y.shape))
