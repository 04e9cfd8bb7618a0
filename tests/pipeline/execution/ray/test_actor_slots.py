"""Which actor a shard is given to, by what happened to actors and shards before."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from pipeline.execution.ray.actor_slots import MAX_STRIKES, START_SECONDS, Seat, suits, usable
from pipeline.shards import ImageRef, Shard

SHARD, OTHER = (Shard((ImageRef(key=key, etag="1", size=1),)) for key in ("a.png", "b.png"))


def coming_up() -> Future[Any]:
    return Future()


def came_up() -> Future[Any]:
    started: Future[Any] = Future()
    started.set_result("a machine")
    return started


def seats(count: int = 3) -> list[Seat]:
    return [Seat(number=number, handle=None, started=came_up()) for number in range(1, count + 1)]


def lose(seat: Seat, times: int = MAX_STRIKES) -> None:
    for _ in range(times):
        seat.lost(RuntimeError("CUDA error"))


def test_a_seat_that_lost_three_actors_in_a_row_is_used_only_when_no_other_is_left() -> None:
    first, second, third = crew = seats()
    lose(second)
    assert usable(crew) == [first, third]
    lose(first)
    assert usable(crew) == [third]
    lose(third)
    assert usable(crew) == crew


def test_one_success_makes_up_for_all_losses() -> None:
    first, second = crew = seats(2)
    lose(first, MAX_STRIKES - 1)
    first.succeeded()
    lose(first, MAX_STRIKES - 1)
    assert usable(crew) == crew
    lose(first, 1)
    assert usable(crew) == [second]
    first.succeeded()
    assert usable(crew) == crew


def test_a_seat_whose_actor_does_not_come_up_keeps_none_from_work_for_long() -> None:
    sick, coming = crew = seats(2)
    lose(sick)
    coming.renew(None, coming_up())
    assert usable(crew) == [coming]
    coming.hired -= START_SECONDS + 1
    assert usable(crew) == [sick]
    sick.renew(None, coming_up())
    sick.hired -= START_SECONDS + 1
    assert usable(crew) == crew


def test_a_shard_goes_where_it_did_not_fail_while_there_is_such_a_seat() -> None:
    first, second, third = crew = seats()
    first.failed.add(SHARD.id)
    assert [suits(seat, crew, SHARD) for seat in crew] == [False, True, True]
    assert all(suits(seat, crew, OTHER) for seat in crew)
    third.failed.add(SHARD.id)
    assert [suits(seat, crew, SHARD) for seat in crew] == [False, True, False]
    assert suits(first, [first, third], SHARD)  # the second one is busy with nothing: it is put aside
    second.failed.add(SHARD.id)
    assert all(suits(seat, crew, SHARD) for seat in crew)


def test_a_seat_that_is_put_aside_is_told_of_by_its_place_and_its_last_error() -> None:
    (seat,) = seats(1)
    seat.place = "archive-7 GPU 3"
    lose(seat)
    assert "archive-7 GPU 3 gets no more shards" in seat.complaint
    assert "3 in a row" in seat.complaint
    assert seat.complaint.endswith("RuntimeError: CUDA error")
