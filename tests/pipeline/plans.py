"""Planning a job from folder to folder, and what was planned, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.config import OutputFormat
from pipeline.keys import Layout
from pipeline.planning.plan import plan
from pipeline.shards import ImageRef, Shard
from pipeline.store import open_store

LAYOUT = Layout("0123456789abcdef")


def plan_folder(source: Path, destination: Path, **settings: Any) -> tuple[Shard, ...]:
    """Plan the job; takes `plan`'s settings."""
    return plan(
        open_store(str(source), writable=False),
        open_store(str(destination), writable=True),
        LAYOUT,
        **{"shard_size": 3, "output_format": OutputFormat.PNG, **settings},
    )


def by_key(shards: tuple[Shard, ...]) -> dict[str, ImageRef]:
    """What was planned for each key; fails where a key has two entries."""
    found = {ref.key: ref for shard in shards for ref in shard.images}
    assert len(found) == sum(len(shard.images) for shard in shards)
    return found


def generations(destination: Path) -> list[str]:
    """The files of the plan."""
    return sorted(path.name for path in (destination / LAYOUT.plans).glob("*"))
