"""Where a job stands, in words and on consoles."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from flows.display.progress import Standing, Throttle, display, duration, watchers, watching
from pipeline.execution.progress import Progress
from pipeline.status import Counts


def standing(*, done: int = 615, total: int = 1000, fresh: int | None = None, **other: int) -> Standing:
    fresh = done if fresh is None else fresh
    counts = Counts(failed=other.get("failed", 3), conflicts=other.get("conflicts", 0))
    return Standing(
        total=total,
        before=done - fresh,
        run=Progress(counts=counts, elsewhere=fresh - counts.total),
        seconds=float(other.get("seconds", 900)),
    )


def test_the_sentence_counts_images_failures_pace_and_time_left() -> None:
    assert str(standing()) == "615 of 1,000 images, 3 failed, ETA 9 min, 41/min"


def test_the_pace_and_the_failures_are_this_runs_alone() -> None:
    resumed = standing(done=900, fresh=10, seconds=60)
    assert str(resumed) == "900 of 1,000 images, 3 failed in this run, ETA 10 min, 10/min"
    nothing_left = standing(done=1000, fresh=0, failed=0)
    assert str(nothing_left) == "1,000 of 1,000 images, 0 failed in this run"


def test_nothing_is_promised_before_the_first_image() -> None:
    assert str(standing(done=0, failed=0)) == "0 of 1,000 images, 0 failed"
    assert str(standing(done=400, fresh=0, failed=0)) == "400 of 1,000 images, 0 failed in this run"


def test_conflicts_are_named_where_there_are_any_and_the_end_has_no_eta() -> None:
    assert str(standing(done=1000, conflicts=2)) == "1,000 of 1,000 images, 3 failed, 2 in conflict, 67/min"


def test_a_slow_pace_keeps_a_digit() -> None:
    assert "2.5/min" in str(standing(done=5, seconds=120))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.7, "1 min"), (90, "2 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_times_are_said_as_people_say_them(seconds, text) -> None:
    assert duration(seconds) == text


def test_a_throttle_lets_the_first_and_the_last_through_and_others_only_after_its_time() -> None:
    shown, now = list[int](), 0.0
    throttle = Throttle(show=lambda each: shown.append(each.done), seconds=10, clock=lambda: now)
    for now, done in ((0.0, 0), (1.0, 1), (9.9, 2), (10.0, 3), (11.0, 4), (12.0, 1000)):  # noqa: B007
        throttle(standing(done=done))
    assert shown == [0, 3, 1000]


def test_without_a_terminal_there_are_plain_lines() -> None:
    text = io.StringIO()
    with display(Console(file=text, width=20), "restoring /some/[bold]folder") as show:
        show(standing(done=0, failed=0))
        show(standing(done=1))
        show(standing(done=1000))
    assert text.getvalue().splitlines() == [
        "restoring /some/[bold]folder",
        "0 of 1,000 images, 0 failed",
        "1,000 of 1,000 images, 3 failed, 67/min",
    ]


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with display(console, "restoring") as show:
        show(standing())
    assert "615 of 1,000 images" in text.getvalue()
    assert text.getvalue().endswith("\x1b[2K")  # the line is erased


def test_displays_are_known_inside_their_block_only() -> None:
    with watching(print), watching(repr):  # type: ignore[arg-type]
        assert watchers() == (print, repr)
    assert watchers() == ()


def test_a_long_run_is_told_of_less_often_than_a_short_one_and_never_less_than_it_may_be() -> None:
    shown, now = list[float](), 0.0
    throttle = Throttle(
        show=lambda each: shown.append(each.seconds), seconds=2, share=0.03, longest=120, clock=lambda: now
    )
    while now < 8 * 3600:
        throttle(standing(done=1, seconds=int(now)))
        now += 1
    gaps = [later - sooner for sooner, later in itertools.pairwise(shown)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (2, 120)
    assert len(shown) < 400
