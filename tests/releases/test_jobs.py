"""Jobs of earlier releases go on: under their ids, with their pixels, without a second row of any input."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from typing import Any

import pytest

from tests.releases.bucket import Row, timeless
from tests.releases.conftest import Stage
from tests.releases.release import Release, releases

pytestmark = pytest.mark.s3

RECORDED = {f"{release.version} {name}": (release, name) for release in releases() for name in sorted(release.jobs)}
OTHERWISE = ("error", "reason", "data_consistency", "suspects", "misfit", "operator_suspect")
"""Names of words of messages, of the measure that is taken after rounding to 8 bits now, and of results of the check of
an operator, which each release improves."""
BEGUN = {title: (release, name) for title, (release, name) in RECORDED.items() if "then" in release.jobs[name]}


def of_each(titles: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("release", "name"), [RECORDED[title] for title in titles], ids=titles)


def named(*names: str) -> pytest.MarkDecorator:
    """The jobs of these names, of every release."""
    return of_each([title for title, (_, name) in BEGUN.items() if name in names])


def differences(answer: Any, recorded: Any, at: str = "") -> Iterator[str]:
    """Find the places where an answer is another; neither `OTHERWISE` nor new names count."""
    if isinstance(answer, dict) and isinstance(recorded, dict):
        for name, value in recorded.items():
            if name not in OTHERWISE or name not in answer:
                yield from differences(answer.get(name), value, f"{at}/{name}")
    elif isinstance(answer, list) and isinstance(recorded, list) and len(answer) == len(recorded):
        for number, pair in enumerate(zip(answer, recorded, strict=True)):
            yield from differences(*pair, f"{at}/{number}")
    elif isinstance(answer, float) and isinstance(recorded, float):
        if not math.isclose(answer, recorded, rel_tol=1e-4, abs_tol=1e-6):  # processors round otherwise
            yield f"{at}: {answer!r} was recorded as {recorded!r}"
    elif answer != recorded:
        yield f"{at}: {answer!r} was recorded as {recorded!r}"


def test_every_recording_holds_jobs() -> None:
    assert BEGUN
    assert {name for _, name in BEGUN.values()} >= {"done", "interrupted", "failed", "retried", "retrying"}


@of_each(list(RECORDED))
def test_a_job_is_told_of_as_its_own_release_told_of_it(stage: Stage, release: Release, name: str) -> None:
    """Some parts of the manifest lack columns of today's."""
    bucket, recorded = stage.put_back(release, name), release.jobs[name]["status"]
    told = stage.deqir("status", bucket.place(f"{name}/out"), "--json")
    assert told.exit_status == 0, told.stderr
    assert not list(differences(timeless(told.answer), recorded))


@of_each([title for title, (release, name) in BEGUN.items() if release.jobs[name]["preview"]])
def test_a_dry_run_finds_the_same_job_and_as_much_to_do(stage: Stage, release: Release, name: str) -> None:
    stage.put_back(release, name)
    recorded = release.jobs[name]["preview"]
    dry = stage.deqir(*release.command(name), "--dry-run", "--json")
    assert dry.exit_status == 0, dry.stderr
    assert not list(differences(dry.answer, recorded))


@of_each(list(BEGUN))
def test_a_job_goes_on_as_its_own_release_would_have_gone_on(stage: Stage, release: Release, name: str) -> None:
    """The release itself came to the recorded end, also without interruption."""
    end, recorded, bucket = stage.end(release, name), release.jobs[name]["then"], stage.bucket(release)
    assert end.done.exit_status == recorded["exit_status"], end.done.stderr
    assert not list(differences(timeless(end.done.answer), recorded["summary"]))
    assert {key: end.after.get(key) for key in end.before} == end.before  # nothing is overwritten
    rows = bucket.rows(f"{name}/out/")
    assert inputs_of(rows) == inputs_of(release.rows[name])
    assert all(len(set(inputs)) == len(inputs) for inputs in inputs_of(rows).values())
    if release.machine == platform.machine():  # other processors round otherwise
        assert bucket.outputs(f"{name}/out/") == recorded["outputs"]
        assert not list(differences(rows, release.rows[name]))


def inputs_of(rows: dict[str, list[Row]]) -> dict[str, list[tuple[str, str, str]]]:
    """The inputs of each job and their ends."""
    names = ("source_key", "source_etag", "status")
    return {job: [tuple(row[name] for name in names) for row in found] for job, found in rows.items()}


@named("interrupted")
def test_an_interrupted_job_is_finished_under_its_id_with_a_row_for_each_input(
    stage: Stage, release: Release, name: str
) -> None:
    (status,) = release.jobs[name]["status"]
    before, end = release.jobs[name]["outputs"], stage.end(release, name)
    assert 0 < status["restored"] < len(before) < len(release.jobs[name]["then"]["outputs"])  # torn in the middle
    assert end.done.answer["job_id"] == status["job_id"]
    rows = stage.bucket(release).rows(f"{name}/out/")[status["job_id"]]
    inputs = [key.removeprefix(f"{name}/in/") for key in sorted(end.before) if key.startswith(f"{name}/in/")]
    assert [(row["source_key"], row["status"]) for row in rows] == [(key, "restored") for key in inputs]
    assert {row["output_key"]: row["output_sha256"] for row in rows} == stage.bucket(release).outputs(f"{name}/out/")


@named("done", "retried")
def test_a_job_that_is_done_has_nothing_to_do(stage: Stage, release: Release, name: str) -> None:
    end = stage.end(release, name)
    assert end.done.answer["done_in_this_run"] == 0
    assert end.after == end.before


@named("failed")
def test_a_retry_tries_again_the_images_that_an_earlier_release_could_not_restore(
    stage: Stage, release: Release, name: str
) -> None:
    (status,) = release.jobs[name]["status"]
    answer = stage.end(release, name).done.answer
    assert answer["job_id"] == f"{status['job_id']}-retry1"
    assert answer["restored"] == 2  # an image too large for the first run, and an image in conflict
    assert sorted(each["key"] for each in answer["failures"]) == ["cut.png", "empty.jpg"]


@named("retrying")
def test_an_unfinished_retry_is_finished_and_no_other_is_begun(stage: Stage, release: Release, name: str) -> None:
    first, retry = release.jobs[name]["status"]
    assert 0 < retry["to_do"] < first["failed"]
    answer = stage.end(release, name).done.answer
    assert (answer["job_id"], answer["to_do"], answer["failed"]) == (retry["job_id"], 0, 0)
    assert answer["done_in_this_run"] == retry["to_do"]
    assert set(stage.bucket(release).rows(f"{name}/out/")) == {first["job_id"], retry["job_id"]}


@named("events")
def test_an_image_that_came_later_joins_the_job_that_an_event_began(stage: Stage, release: Release, name: str) -> None:
    (status,) = release.jobs[name]["status"]
    answer = stage.end(release, name).done.answer
    assert (answer["job_id"], answer["restored"], answer["done_in_this_run"]) == (status["job_id"], 3, 1)


def test_the_record_of_every_job_is_read_even_where_its_prior_is_gone(stage: Stage) -> None:
    """The jobs in the folders schema-3 and schema-4 name a prior of another machine."""
    old = [release for release in releases() if release.version.startswith("schema-")]
    assert old
    for release in old:
        bucket = stage.put_back(release, "failed")
        refused = stage.deqir("retry", bucket.place("failed/out"))
        assert refused.exit_status == 2, refused.stderr
        assert "/srv/priors/tiny" in refused.stderr


def test_parts_of_several_releases_are_read_together(stage: Stage) -> None:
    """As in a job begun by an old release and finished by a new one."""
    by_version = {release.version: release for release in releases()}
    oldest, newest = by_version["schema-3"], by_version["0.1.0"]
    bucket = stage.put_back(oldest, "failed")
    (status,) = oldest.jobs["failed"]["status"]
    part = next(data for key, (data, _) in newest.state("retried").items() if "/manifest/" in key)
    bucket.put(f"failed/out/.deqir/{status['job_id']}/manifest/{'f' * 16}.parquet", part)
    told = stage.deqir("status", bucket.place("failed/out"), "--job", status["job_id"], "--json")
    assert told.exit_status == 0, told.stderr
    (both,) = told.answer
    assert both["restored"] > status["restored"]
