"""What a run would do is told without a byte written, and is what the run then does."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError, StoreAccessError
from pipeline.job.dry_run import Refused, preview
from pipeline.job.job import check_job, open_job, plan_job
from tests.pipeline.archive import image_bytes, put, restore_job, snapshot, write_archive
from tests.pipeline.jobs import run_job
from tests.pipeline.privileges import without_privileges
from tests.pipeline.rows import read_manifest


@pytest.fixture
def settings(source: Path, destination: Path, tiny_prior: str) -> RestoreJob:
    """Five images and what is none."""
    write_archive(source, 5)
    for name in ("a.txt", "b.TXT", "scan.tif", "README"):
        put(source, name, b"no image")
    put(source, "bad\x07name.png", image_bytes(1))
    return restore_job(source, destination, tiny_prior)


def state(folder: Path) -> tuple[object, ...]:
    """Every file and when each folder was last changed."""
    return snapshot(folder), {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_dir()}


def test_what_is_told_of_a_job_that_was_never_run_is_what_its_first_run_does(settings, tmp_path, destination) -> None:
    before = state(tmp_path)
    found = preview(check_job(settings))
    assert state(tmp_path) == before
    assert not destination.exists()
    assert (found.inputs, found.done, found.to_restore, found.taken, found.shards) == (10, 0, 5, 0, 3)
    reason = "not an image by its name; images end in .jpg, .jpeg, .jpe, .jfif, .png or .webp"
    assert found.refused == (
        Refused(reason=reason, ending=".txt", count=2),
        Refused(reason="UnsafeKeyError", ending=".png", count=1),
        Refused(reason=reason, ending=".tif", count=1),
        Refused(reason=reason, ending="no ending", count=1),
    )
    job = run_job(settings)
    assert job.id == found.job_id
    rows = read_manifest(settings.destination, job.id)
    assert Counter(row.status for row in rows) == {"restored": 5, "skipped": 4, "failed": 1}
    before = state(tmp_path)
    after = preview(check_job(settings))
    assert state(tmp_path) == before
    assert (after.inputs, after.done, after.to_restore, after.taken, after.shards) == (10, 10, 0, 0, 0)
    assert after.refused == ()


def test_of_a_job_that_was_begun_what_is_left_and_what_is_new_is_told(settings, source, destination) -> None:
    run_job(settings, slice(1))
    put(source, "new.png", image_bytes(7))
    put(source, "album/00.png", image_bytes(8))
    put(destination, "new.png", b"somebody else's")
    before = state(destination)
    found = preview(check_job(settings))
    assert state(destination) == before
    job = open_job(settings)
    planned = plan_job(job)
    assert (found.inputs, found.done, found.shards) == (planned.inputs, planned.done, len(planned.pending))
    refs = [ref for shard in planned.pending for ref in shard.images]
    assert found.to_restore == sum(ref.refusal is None for ref in refs)
    assert found.taken == 1
    run_job(settings)
    conflicts = [row.source_key for row in read_manifest(settings.destination, job.id) if row.status == "conflict"]
    assert conflicts == ["new.png"]


def test_what_a_run_would_refuse_is_refused(settings, tmp_path, destination) -> None:
    with pytest.raises(StoreAccessError, match="there is no such folder"):
        preview(check_job(settings.model_copy(update={"source": str(tmp_path / "nowhere")})))
    with pytest.raises(ConfigurationError, match="must lie apart"):
        preview(check_job(settings.model_copy(update={"destination": f"{settings.source}/out"})))
    put(tmp_path, "file", b"")
    with pytest.raises(ConfigurationError, match="no folder that this user may write to"):
        preview(check_job(settings.model_copy(update={"destination": str(tmp_path / "file" / "out")})))
    assert not destination.exists()


def test_a_folder_that_may_not_be_written_to_is_refused(tiny_prior) -> None:
    prior = {path.name: path.read_bytes() for path in Path(tiny_prior).iterdir()}
    with without_privileges() as folder:
        for name, data in prior.items():
            put(folder / "prior", name, data)
        write_archive(folder / "source", 1)
        (folder / "closed").mkdir(mode=0o500)
        with pytest.raises(ConfigurationError, match=f"{folder}/closed is no folder that this user may write to"):
            preview(check_job(restore_job(folder / "source", folder / "closed" / "out", str(folder / "prior"))))
        assert os.listdir(folder / "closed") == []


@pytest.mark.s3
def test_a_bucket_is_looked_at_and_not_written_to(source, tiny_prior, s3_server, s3_url) -> None:
    keys = write_archive(source, 3)
    settings = restore_job(source, Path("out"), tiny_prior).model_copy(update={"destination": f"{s3_url}/out"})
    bucket, prefix = s3_url.removeprefix("s3://").split("/", 1)
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key=f"{prefix}/out/{keys[0]}", Body=b"somebody else's")
    found = preview(check_job(settings))
    assert (found.to_restore, found.taken) == (3, 1)
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    assert [each["Key"] for each in listed] == [f"{prefix}/out/{keys[0]}"]
