"""New objects in a real store become restored images, each once, while the stack's services are killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pipeline.job.job import find_jobs
from pipeline.manifest.schema import ManifestRow
from tests.flows.live import within
from tests.pipeline.archive import image_bytes
from tests.pipeline.rows import read_manifest
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

GOOD = {f"in/album {number // 10}/{number:02d}.png": image_bytes(number) for number in range(42)}
BROKEN = {
    "in/broken/empty.jpg": b"",
    "in/broken/letter.jpg": b"Dear Sir or Madam,\n" * 20,
    "in/broken/cut.png": image_bytes(50)[:100],
    "in/broken/cut in the pixels.png": image_bytes(51)[:-80],
    "in/broken/head only.webp": b"RIFF\0\0\0\0WEBP",
}
OTHER = {"in/notes.txt": b"taken in 1931", "in/album 0/index.html": b"<html>", "in/raw.tif": b"II*\0"}
OBJECTS = GOOD | BROKEN | OTHER
TWICE = sorted(GOOD)[::4][:10]


@pytest.fixture
def aws(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point boto3 in this process to the stack's store."""
    for name, value in stack.variables.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


def rows() -> list[ManifestRow]:
    """Return all rows of the destination's only job; [] before the first run."""
    jobs = find_jobs("s3://archive/out")
    assert len(jobs) <= 1
    return read_manifest("s3://archive/out", jobs[0]) if jobs else []


def outputs(stack: Stack) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield the key of each output, with its ETag and time, which would change if it were written again."""
    pages = stack.s3().get_paginator("list_objects_v2").paginate(Bucket="archive", Prefix="out/")
    for page in pages:
        for item in page.get("Contents", []):
            if item["Key"].endswith(".png"):
                yield item["Key"].removeprefix("out/"), (item["ETag"], item["LastModified"])


def health(stack: Stack) -> dict[str, Any]:
    """Return the receiver's counts; {} while it is down."""
    try:
        known: dict[str, Any] = httpx.get(f"{stack.events}/healthz", timeout=5).json()
    except httpx.HTTPError:
        return {}
    return known


def test_fifty_objects_are_restored_once_while_receiver_and_server_are_killed(stack, aws) -> None:
    s3, keys, first_seen = stack.s3(), list(OBJECTS), dict[str, tuple[str, Any]]()

    def put(some: list[str]) -> None:
        for key in some:
            s3.put_object(Bucket="archive", Key=key, Body=OBJECTS[key])

    def done() -> bool:
        for key, state in outputs(stack):
            first_seen.setdefault(key, state)
        known = health(stack)
        return known.get("ended") == len(OBJECTS) and not known["waiting"] + known["batched"] + known["started"]

    put(keys[:15])
    stack.kill("receiver")
    put(keys[15:25])
    put(TWICE[:5])
    within(120, lambda: list(outputs(stack)), "the first output")
    stack.kill("prefect-server")
    put(keys[25:40])
    time.sleep(1)
    stack.kill("receiver")
    put(keys[40:])
    put(TWICE[5:])
    within(400, done, "every object's run to end", every=1.0)

    assert Counter(row.status for row in rows()) == {"restored": 42, "failed": 5, "skipped": 3}
    assert {f"in/{row.source_key}" for row in rows()} == OBJECTS.keys()
    assert dict(outputs(stack)) == first_seen
    assert first_seen.keys() == {key.removeprefix("in/") for key in GOOD}
    assert health(stack)["dead_letters"] == 0

    before = rows()
    scheduled = stack.api.start("archive")  # lists the whole source, and finds nothing left to do
    assert stack.api.ended(scheduled, seconds=120)["state_type"] == "COMPLETED"
    assert rows() == before
    assert dict(outputs(stack)) == first_seen
    active = [run for run in stack.api.runs("archive") if run["state_type"] in ("RUNNING", "PENDING", "CANCELLING")]
    assert active == []
