"""`deqir restore --dry-run` as its users meet it."""

from __future__ import annotations

import json

from pipeline.job.job import find_jobs
from tests.flows.conftest import one_line, quick
from tests.pipeline.archive import put, snapshot, write_archive


def test_a_dry_run_tells_the_job_and_what_it_would_do_and_writes_nothing(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    write_archive(source, 3)
    put(source, "[red]notes.txt", b"taken in 1931")
    arguments = ("restore", source, destination, *quick(tiny_prior))
    before = snapshot(tmp_path)
    # no server is asked for anything
    dry = deqir(*arguments, "--dry-run", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert dry.returncode == 0, dry.stderr
    assert snapshot(tmp_path) == before
    assert not destination.exists()
    assert "nothing was written" in dry.stdout
    assert "not restored: .txt" in dry.stdout
    told = json.loads(deqir(*arguments, "--dry-run", "--json").stdout)
    assert (told["inputs"], told["to_restore"], told["done"], told["taken"]) == (4, 3, 0, 0)
    assert deqir(*arguments).returncode == 0
    assert find_jobs(str(destination)) == (told["job_id"],)
    before = snapshot(tmp_path)
    told = json.loads(deqir(*arguments, "--dry-run", "--json").stdout)
    assert (told["done"], told["to_restore"]) == (4, 0)
    assert snapshot(tmp_path) == before


def test_a_dry_run_of_what_would_be_refused_ends_as_the_run_would(tmp_path, deqir) -> None:
    (tmp_path / "in").mkdir()
    for source, text in (("in", "holds no object"), ("nowhere", "there is no such folder")):
        dry = deqir("restore", tmp_path / source, tmp_path / "out", "--dry-run")
        assert text in one_line(dry)
    assert not (tmp_path / "out").exists()
