"""`deqir retry` as its users meet it: once more what failed, with the settings of the first time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flows.retry import retry_job
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.job import find_jobs, open_job
from tests.pipeline.archive import image_bytes, put, restore_job, write_archive


def test_what_was_too_large_is_restored_by_a_retry_that_allows_it(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    write_archive(source, 2)
    put(source, "large.png", image_bytes(9, size=(40, 40)))
    options = ("--prior", tiny_prior, "--scale", "2", "--steps", "3", "--executor", "local", "--max-pixels", "3000")
    first = deqir("restore", source, destination, *options, "--json")
    assert first.returncode == 3
    job = json.loads(first.stdout)["job_id"]
    again = deqir("retry", destination, "--max-pixels", "10000", "--json")
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert (summary["job_id"], summary["restored"], summary["failed"]) == (f"{job}-retry1", 1, 0)
    assert (destination / "large.png").exists()

    then = deqir("restore", source, destination, *options, "--json")
    assert then.returncode == 0, then.stderr
    summary = json.loads(then.stdout)
    assert (summary["job_id"], summary["failed"], summary["restored_since"]) == (job, 1, 1)
    assert summary["failures"] == []
    told = deqir("status", destination, "--job", job).stdout
    assert re.search(r"restored since\W+1\W", told), told
    assert "large.png" not in told


@pytest.fixture
def recorded(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    """A job that a destination knows."""
    write_archive(tmp_path / "in", 1)
    return open_job(restore_job(tmp_path / "in", tmp_path / "out", tiny_prior, runtime={"shard_size": 7})).config


def test_a_retry_has_the_recorded_settings_but_for_those_that_are_given(recorded) -> None:
    found = retry_job(recorded.destination, job_id=None, runtime={"max_pixels": 5, "actors": None})
    assert found.retry
    assert found.result == recorded.result
    assert found.runtime == recorded.runtime.model_copy(update={"max_pixels": 5})
    (id,) = find_jobs(recorded.destination)
    assert retry_job(recorded.destination, job_id=f"{id}-retry3", runtime={"max_pixels": 5}) == found


def test_which_of_several_jobs_has_to_be_said(recorded) -> None:
    open_job(recorded.model_copy(update={"result": recorded.result.model_copy(update={"seed": 1})}))
    jobs = find_jobs(recorded.destination)
    with pytest.raises(ConfigurationError, match=f"several jobs, name one with --job: {', '.join(jobs)}"):
        retry_job(recorded.destination, job_id=None, runtime={})
    assert retry_job(recorded.destination, job_id=jobs[0], runtime={}).retry
    with pytest.raises(ConfigurationError, match="no job 'other'"):
        retry_job(recorded.destination, job_id="other", runtime={})
    with pytest.raises(ConfigurationError, match="holds no job"):
        retry_job(recorded.source, job_id=None, runtime={})
    with pytest.raises(ConfigurationError, match="--max-pixels 0"):
        retry_job(recorded.destination, job_id=jobs[0], runtime={"max_pixels": 0})
