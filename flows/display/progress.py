"""The progress of a running job: a sentence, a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from pipeline.execution.progress import Progress

PLAIN_LINE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Counts of a running job.

    Attributes:
        total: Images of the job.
        before: Images done by earlier runs.
        run: Images done in this run, some in unfinished shards.
        seconds: Wall time of this run.
    """

    total: int
    before: int
    run: Progress
    seconds: float

    @property
    def done(self) -> int:
        """Images done in this run or an earlier one."""
        return self.before + self.run.done

    @property
    def fresh(self) -> int:
        """Images done in this run."""
        return self.run.done

    @property
    def per_minute(self) -> float | None:
        """Images a minute in this run; None before the first."""
        return 60 * self.fresh / self.seconds if self.fresh and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Expected time to the end at this run's pace; None before the first image."""
        return (self.total - self.done) * self.seconds / self.fresh if self.fresh else None

    @property
    def rest(self) -> str:
        """The words after the count, the most important first: "3 failed, ETA 9 min, 41/min".

        After an earlier run: "3 failed in this run", as the earlier run may have had failures of its own.
        """
        counts = self.run.counts
        parts = [f"{counts.failed:,} failed"]
        if counts.conflicts:
            parts.append(f"{counts.conflicts:,} in conflict")
        if counts.set_aside:
            parts.append(f"{counts.set_aside:,} set aside")
        if self.before:
            parts[-1] += " in this run"
        if self.seconds_left:
            parts.append(f"ETA {duration(self.seconds_left)}")
        if (pace := self.per_minute) is not None:
            parts.append(f"{pace:,.0f}/min" if pace >= 10 else f"{pace:.1f}/min")
        return ", ".join(parts)

    def __str__(self) -> str:
        """Return "615 of 1,000 images, 3 failed, ETA 9 min, 41/min"."""
        return f"{self.done:,} of {self.total:,} images, {self.rest}"


Show = Callable[[Standing], None]

_watchers: ContextVar[tuple[Show, ...]] = ContextVar("watchers", default=())


@contextmanager
def watching(show: Show) -> Iterator[None]:
    """Have every job inside the block report its progress to `show`.

    A server stores a flow's parameters, so a display cannot be a parameter.
    """
    token = _watchers.set((*_watchers.get(), show))
    try:
        yield
    finally:
        _watchers.reset(token)


def watchers() -> tuple[Show, ...]:
    """Return the displays of the surrounding `watching` blocks."""
    return _watchers.get()


@dataclass(slots=True, kw_only=True)
class Throttle:
    """Lets a `show` through at most every `seconds`, and always the first and the last time.

    Attributes:
        share: Part of the run's time so far to wait, too, so a long run has fewer updates than many short runs.
        longest: Seconds between two times, at most, however long the run.
    """

    show: Show
    seconds: float
    share: float = 0.0
    longest: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=-float("inf"), init=False)

    def __call__(self, standing: Standing) -> None:
        now = self.clock()
        if now >= self._next or standing.done == standing.total:
            self._next = now + min(max(self.seconds, self.share * standing.seconds), self.longest)
            self.show(standing)


@contextmanager
def display(console: Console, title: str) -> Iterator[Show]:
    """Give a `show`: a bar on a terminal, a line every ten seconds elsewhere."""
    if not console.is_terminal:
        console.print(title, markup=False, highlight=False, soft_wrap=True)
        yield Throttle(show=lambda standing: print_line(console, standing), seconds=PLAIN_LINE_SECONDS)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Bar(*columns, console=console, transient=True) as drawn:
        bar = drawn.add_task(title, total=None, text="starting")
        yield lambda standing: drawn.update(bar, total=standing.total, completed=standing.done, text=str(standing))


def print_line(console: Console, standing: Standing) -> None:
    """Print the standing as a single line, however narrow the console is."""
    console.print(str(standing), markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Return a time as people say it: "40 s", "9 min", "2 h 05 min"."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
