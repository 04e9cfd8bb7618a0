"""Planners that race, and a store that cannot be trusted, leave one plan for all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.config import OutputFormat
from pipeline.errors import StoreUnavailableError
from pipeline.planning.plan import plan
from pipeline.shards import Shard
from pipeline.store import Store, open_store
from tests.pipeline.archive import put
from tests.pipeline.plans import LAYOUT, by_key, generations, plan_folder


@pytest.fixture
def planned(source: Path, destination: Path) -> Callable[..., tuple[Shard, ...]]:
    """Plans the job from `source` to `destination`; takes `plan`'s settings."""
    return partial(plan_folder, source, destination)


def test_planners_that_race_agree_on_one_plan(source, destination, planned) -> None:
    for number in range(40):
        put(source, f"{number:02d}.png", b"x")
    for round_ in range(5):
        put(source, f"new-{round_}.png", b"x")
        plans: list[tuple[Shard, ...]] = []
        together = threading.Barrier(6)

        def race(size: int, together=together, plans=plans) -> None:
            together.wait()
            plans.append(planned(shard_size=size))

        racers = [threading.Thread(target=race, args=(size,)) for size in range(1, 7)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len(plans) == 6
        assert all(each == plans[0] for each in plans)
        by_key(plans[0])
        assert len(generations(destination)) == round_ + 1


class Overtaken:
    """A destination in which somebody else is faster, once."""

    def __init__(self, store: Store, rival) -> None:
        self.store, self.rival = store, rival

    def __getattr__(self, name: str):
        return getattr(self.store, name)

    def create(self, key: str, data: bytes, /) -> bool:
        self.rival()
        return self.store.create(key, data)


def test_a_planner_that_loses_takes_the_winners_plan_and_adds_what_it_lacks(source, destination) -> None:
    put(source, "a.jpg", b"x")
    settings = {"shard_size": 3, "output_format": OutputFormat.PNG}
    origin, store = open_store(str(source), writable=False), open_store(str(destination), writable=True)
    winners: list[tuple[Shard, ...]] = []

    class Later:
        """The source as it was listed a moment later."""

        url = origin.url

        def list(self, prefix: str = ""):
            yield from origin.list(prefix)
            yield replace(next(origin.list()), key="a.png")

    def rival() -> None:
        if not winners:
            winners.append(plan(origin, store, LAYOUT, **settings))  # type: ignore[arg-type]

    shards = plan(Later(), Overtaken(store, rival), LAYOUT, **settings)  # type: ignore[arg-type]
    assert shards[:1] == winners[0]
    assert {key: ref.output_key for key, ref in by_key(shards).items()} == {"a.jpg": "a.png", "a.png": "a.png.png"}
    assert generations(destination) == ["000000.parquet", "000001.parquet"]


def test_a_store_that_contradicts_itself_is_said_so(source, destination) -> None:
    put(source, "a.jpg", b"x")

    class Contrary:
        url = "s3://contrary"

        def get(self, key: str, /, *, limit: int) -> bytes:
            raise FileNotFoundError(key)

        def create(self, key: str, data: bytes, /) -> bool:
            return False

    with pytest.raises(StoreUnavailableError, match=r"s3://contrary/\.deqir"):
        plan(
            open_store(str(source), writable=False),
            Contrary(),  # type: ignore[arg-type]
            LAYOUT,
            shard_size=3,
            output_format=OutputFormat.PNG,
        )
