"""What `deqir restore` says where it cannot begin: a source that holds nothing, a server that is not there."""

from __future__ import annotations

import logging
import shutil

import pytest

from pipeline.job.job import find_jobs
from tests.flows.commands.test_cli_s3 import put_pictures
from tests.flows.conftest import one_line, quick
from tests.flows.live import within
from tests.pipeline.archive import put, restore_job, snapshot, write_archive
from tests.processes import free_port, python

AS_DEPLOYED = """
import sys
from flows.flow.restore_archive import restore_archive
from pipeline.config import RestoreJob
restore_archive(RestoreJob.model_validate_json(sys.argv[1]))
"""


def test_an_empty_folder_is_told_and_no_job_is_written(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    (source / "album").mkdir(parents=True)
    put(source, ".deqir/0123456789abcdef/job.json", b"{}")  # of a job that wrote there
    line = one_line(deqir("restore", source, destination, *quick(tiny_prior)))
    assert f"{source} holds no object" in line
    assert not destination.exists()


def test_a_folder_without_any_image_is_told_with_what_is_there_and_no_job_is_written(
    tmp_path, tiny_prior, deqir
) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    for name in ("a.tif", "b.TIF", "c.bmp", "._d.jpg"):
        put(source, name, b"no image that is read here")
    line = one_line(deqir("restore", source, destination, *quick(tiny_prior)))
    assert f"{source} holds no image" in line
    assert ".webp, but .tif 2, ._* 1, .bmp 1;" in line
    assert not destination.exists()


@pytest.mark.s3
def test_a_mistyped_prefix_is_told_whatever_the_destination_holds(s3_server, s3_url, tiny_prior, deqir) -> None:
    put_pictures(s3_server, f"{s3_url}/in")
    options, environment = quick(tiny_prior), s3_server.environment
    assert deqir("restore", f"{s3_url}/in", f"{s3_url}/out", *options, **environment).returncode == 3
    jobs = find_jobs(f"{s3_url}/out")
    line = one_line(deqir("restore", f"{s3_url}/inn", f"{s3_url}/out", *options, **environment))
    assert f"{s3_url}/inn holds no object" in line
    assert find_jobs(f"{s3_url}/out") == jobs


def test_a_job_whose_source_was_emptied_since_is_still_done(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    write_archive(source, 1)
    assert deqir("restore", source, destination, *quick(tiny_prior)).returncode == 0
    shutil.rmtree(source / "album")
    again = deqir("restore", source, destination, *quick(tiny_prior))
    assert again.returncode == 0, again.stderr
    assert "this job had done all 1 images before" in again.stdout


def test_a_deployed_run_with_nothing_in_its_source_warns_and_the_command_line_says_so_then_as_well(
    tmp_path, tiny_prior, api, deqir, prefect_environment
) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    job = restore_job(source, destination, tiny_prior).model_dump_json()
    python("-c", AS_DEPLOYED, job, env=prefect_environment).check_returncode()
    warnings = {"logs": {"level": {"ge_": logging.WARNING}}}

    def lines() -> list[str]:
        return [log["message"] for log in api.call("POST", "/logs/filter", warnings) if str(source) in log["message"]]

    within(30, lines, "the warning to reach the server")
    (line,) = lines()
    assert f"the source {source} holds no object" in line
    before = snapshot(destination)
    run = deqir("restore", source, destination, *quick(tiny_prior), "--device", "cpu")
    assert run.returncode == 2
    assert f"error: the source {source} holds no object" in run.stderr
    assert snapshot(destination) == before


def test_a_job_without_any_image_that_a_deployed_run_began_ends_with_status_2_as_well(
    tmp_path, tiny_prior, deqir, prefect_environment
) -> None:
    put(tmp_path / "in", "a.tif", b"no image that is read here")
    job = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior).model_dump_json()
    python("-c", AS_DEPLOYED, job, env=prefect_environment).check_returncode()
    restore = ["restore", tmp_path / "in", tmp_path / "out", *quick(tiny_prior), "--device", "cpu"]
    run = deqir(*restore)
    assert run.returncode == 2
    assert "1 skipped: their names are not of JPEG, PNG or WebP files (.tif 1)" in run.stdout
    assert f"error: the source {tmp_path / 'in'} holds no image" in run.stderr
    write_archive(tmp_path / "in", 1)
    assert deqir(*restore).returncode == 3  # the file is an image that cannot be restored


def test_a_prefect_server_that_is_not_there_is_one_line(tmp_path, tiny_prior, deqir) -> None:
    write_archive(tmp_path / "in", 1)
    url = f"http://127.0.0.1:{free_port()}/api"
    run = deqir("restore", tmp_path / "in", tmp_path / "out", *quick(tiny_prior), PREFECT_API_URL=url)
    line = one_line(run)
    assert f"no Prefect server answers at {url}" in line
    assert "correct PREFECT_API_URL" in line
    assert not list((tmp_path / "out").glob("**/*.png"))
