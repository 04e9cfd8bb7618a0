"""`deqir retry` as its users meet it: once more what failed, with the settings of the first time."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from deqir.priors import FFDNet, read_card, write_prior
from flows.commands.retry import retry_job
from pipeline.config import RestoreJob
from pipeline.errors import ConfigurationError
from pipeline.job.job import find_jobs, open_job
from tests.flows.conftest import quick
from tests.pipeline.archive import image_bytes, pixels, put, restore_job, snapshot, write_archive


def test_what_was_too_large_is_restored_by_a_retry_that_allows_it(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    write_archive(source, 2)
    put(source, "large.png", image_bytes(9, size=(40, 40)))
    options = (*quick(tiny_prior), "--max-pixels", "3000")
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


def test_an_output_that_was_deleted_is_made_again_by_a_retry(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    first, _ = write_archive(source, 2)
    options = (*quick(tiny_prior), "--json")
    assert deqir("restore", source, destination, *options).returncode == 0
    made = pixels(destination / first)
    (destination / first).unlink()
    in_vain = deqir("retry", destination, "--max-pixels", "10", "--json")
    assert (in_vain.returncode, json.loads(in_vain.stdout)["failed"]) == (3, 1)
    plain = deqir("restore", source, destination, *options)
    assert plain.returncode == 3  # it is not there, and the last try of it failed
    assert [each["key"] for each in json.loads(plain.stdout)["failures"]] == [first]
    again = deqir("retry", destination, "--json")
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert (summary["restored"], summary["done_in_this_run"]) == (1, 1)
    assert (pixels(destination / first) == made).all()
    assert deqir("restore", source, destination, *options).returncode == 0
    jobs = json.loads(deqir("status", destination, "--json").stdout)
    assert [job["restored"] for job in jobs] == [2, 0, 1]
    assert not any(job["failures"] for job in jobs)


@pytest.fixture
def recorded(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    """A job that a destination knows."""
    write_archive(tmp_path / "in", 1)
    return open_job(restore_job(tmp_path / "in", tmp_path / "out", tiny_prior, runtime={"shard_size": 7})).config


def test_a_retry_has_the_recorded_settings_but_for_those_that_are_given(recorded) -> None:
    found = retry_job(recorded.destination, job_id=None, runtime={"max_pixels": 5, "actors": None})
    assert found.config.retry
    assert found.config.result == recorded.result
    assert found.config.runtime == recorded.runtime.model_copy(update={"max_pixels": 5})
    (id,) = find_jobs(recorded.destination)
    assert retry_job(recorded.destination, job_id=f"{id}-retry3", runtime={"max_pixels": 5}) == found


def test_which_of_several_jobs_has_to_be_said(recorded) -> None:
    open_job(recorded.model_copy(update={"result": recorded.result.model_copy(update={"seed": 1})}))
    jobs = find_jobs(recorded.destination)
    with pytest.raises(ConfigurationError, match=f"several jobs, name one with --job: {', '.join(jobs)}"):
        retry_job(recorded.destination, job_id=None, runtime={})
    assert retry_job(recorded.destination, job_id=jobs[0], runtime={}).config.retry
    with pytest.raises(ConfigurationError, match="no job 'other'"):
        retry_job(recorded.destination, job_id="other", runtime={})
    with pytest.raises(ConfigurationError, match="holds no job"):
        retry_job(recorded.source, job_id=None, runtime={})
    with pytest.raises(ConfigurationError, match="--max-pixels 0"):
        retry_job(recorded.destination, job_id=jobs[0], runtime={"max_pixels": 0})


def test_a_copy_of_a_destination_is_not_taken_for_it(recorded, tmp_path, deqir) -> None:
    """Where the first is gone, it is not made anew."""
    shutil.copytree(recorded.destination, tmp_path / "moved")
    (id,) = find_jobs(recorded.destination)
    before = snapshot(tmp_path)
    with pytest.raises(ConfigurationError, match=f"job {id} in {tmp_path}/moved was recorded for {tmp_path}/out"):
        retry_job(str(tmp_path / "moved"), job_id=None, runtime={})
    assert snapshot(tmp_path) == before
    shutil.rmtree(recorded.destination)
    refused = deqir("retry", tmp_path / "moved")
    assert refused.returncode == 2
    assert f"deqir retry {tmp_path}/out" in refused.stderr
    assert not Path(recorded.destination).exists()


@pytest.mark.parametrize(
    "spelled",
    [
        lambda out: f"{out}/",
        lambda out: f"{out}/../out",
        lambda out: str(out.parent / "link"),
        lambda out: "out",
        lambda out: "./link/",
    ],
    ids=["a slash at the end", "by way of the folder above", "a link", "relative", "a relative link with a slash"],
)
def test_another_spelling_of_the_destination_is_the_same(recorded, tmp_path, monkeypatch, spelled) -> None:
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path)
    job = retry_job(spelled(tmp_path / "out"), job_id=None, runtime={}).config
    assert job.destination == recorded.destination == str(tmp_path / "out")


@pytest.mark.s3
def test_a_slash_at_the_end_of_a_prefix_makes_no_other_destination(tmp_path, tiny_prior, s3_url) -> None:
    write_archive(tmp_path / "in", 1)
    job = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior)
    open_job(job.model_copy(update={"destination": f"{s3_url}/"}))
    for url in (s3_url, f"{s3_url}/"):
        assert retry_job(url, job_id=None, runtime={}).config.destination == s3_url


def test_a_job_whose_prior_has_other_weights_by_now_is_not_tried_as_another_job(tmp_path, tiny_prior) -> None:
    """That other job is in the same destination, with failures of its own."""
    prior = tmp_path / "prior"
    shutil.copytree(tiny_prior, prior)
    write_archive(tmp_path / "in", 1)
    settings = restore_job(tmp_path / "in", tmp_path / "out", str(prior))
    first = open_job(settings)
    card = read_card(prior)
    write_prior(prior, card, FFDNet(**card.architecture).state_dict())
    second = open_job(settings)
    assert retry_job(settings.destination, job_id=second.id, runtime={}).config.retry
    with pytest.raises(ConfigurationError, match=f"job {first.id} cannot be tried again here.*{second.id}.*weights"):
        retry_job(settings.destination, job_id=first.id, runtime={})
