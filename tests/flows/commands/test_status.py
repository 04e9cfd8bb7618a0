"""`deqir status` is read on narrow terminals and by other programs."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from flows.commands.status import overview
from flows.display.summary import print_summary
from pipeline.reporting.summary import JobSummary, summary_of
from pipeline.status import Counts
from tests.flows.conftest import quick
from tests.pipeline.archive import image_bytes, put, restore_job, write_archive
from tests.pipeline.jobs import run_job

BARE = replace(summary_of("0123456789abcdef", "/restored", []), counts=Counts(failed=4, skipped=12))
MEASURED = replace(
    BARE,
    job_id="fedcba9876543210",
    counts=Counts(restored=999_983, failed=4, skipped=12),
    psnr=23.456,
    finished_at=datetime(2031, 7, 9, 20, 5, tzinfo=UTC),
)


def shown(summaries: list[JobSummary], *, width: int, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    for line in overview(summaries):
        console.print(line, soft_wrap=True)
    return file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_heading_and_no_number_is_cut(width, terminal) -> None:
    heading, bare, measured = shown([BARE, MEASURED], width=width, terminal=terminal).splitlines()
    assert " ".join(heading.split()) == "job last row (UTC) images restored failed skipped PSNR"
    assert bare.split() == ["0123456789abcdef", "16", "0", "4", "12"]
    assert " ".join(measured.split()) == "fedcba9876543210 2031-07-09 20:05 999,999 999,983 4 12 23.46"
    assert len(heading) == len(measured) <= 80


def test_conflicts_and_what_is_to_do_have_a_column_where_any_job_has_some() -> None:
    cut = replace(MEASURED, to_do=999_999)
    heading, bare, measured = shown([BARE, cut], width=80, terminal=True).splitlines()
    assert " ".join(heading.split()) == "job last row (UTC) images to do restored failed skipped PSNR"
    assert (bare.split()[2], measured.split()[4]) == ("0", "999,999")
    assert len(heading) == len(measured) <= 80
    heading, *_ = shown([replace(cut, counts=Counts(conflicts=1))], width=80, terminal=True).splitlines()
    assert " ".join(heading.split()) == "job last row (UTC) images to do restored failed skipped conflict PSNR"
    heading, *_ = shown([replace(BARE, counts=Counts(conflicts=1))], width=80, terminal=True).splitlines()
    assert " ".join(heading.split()) == "job last row (UTC) images restored failed skipped conflict PSNR"


def test_a_jobs_id_stands_in_a_line_by_itself_however_narrow_the_console_is() -> None:
    file = io.StringIO()
    retried = replace(BARE, job_id="0123456789abcdef-retry1", to_do=26, not_images=3, endings={".tif": 2, ".gif": 1})
    print_summary(Console(file=file, width=20), retried)
    lines = file.getvalue().splitlines()
    assert lines[0] == "job 0123456789abcdef-retry1"
    assert "3 skipped: their names are not of JPEG, PNG or WebP files (.tif 2, .gif 1)" in lines
    assert "26 to do: where no run is at work on them, run the same deqir retry again" in lines


def test_a_job_that_was_interrupted_tells_what_it_has_to_do_and_by_which_command(tmp_path, tiny_prior, deqir) -> None:
    write_archive(tmp_path / "in", 5)
    put(tmp_path / "in", "scan.tif", b"II*")
    settings = restore_job(tmp_path / "in", tmp_path / "out", tiny_prior, runtime={"shard_size": 2})
    job = run_job(settings, slice(1))
    told = deqir("status", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    heading, line, note = told.stdout.splitlines()
    assert re.search(r"images to do restored", heading)
    assert line.split()[3:] == ["2", "4", "2", "0", "0"]
    assert note == f"{job.id}: 4 to do: where no run is at work on them, run the same deqir restore again"
    (summary,) = json.loads(deqir("status", tmp_path / "out", "--json").stdout)
    assert (summary["restored"], summary["to_do"], summary["not_images"]) == (2, 4, 0)
    run_job(settings)
    heading, line, note = deqir("status", tmp_path / "out").stdout.splitlines()
    assert "to do" not in heading
    assert line.split()[3:] == ["6", "5", "0", "1"]
    assert note == (
        f"{job.id}: 1 skipped: their names are not of JPEG, PNG or WebP files (.tif 1); 1 of them an image of a kind "
        "that cannot be restored"
    )


def test_larger_numbers_widen_their_column() -> None:
    heading, line = shown(
        [replace(MEASURED, counts=Counts(restored=123_456_789, failed=4, skipped=12))], width=80, terminal=False
    ).splitlines()
    assert line.split()[3:5] == ["123,456,805", "123,456,789"]
    assert heading.index("restored") + len("restored") == line.index("123,456,789") + len("123,456,789")


def test_the_command_prints_its_columns_whole_into_a_pipe(tmp_path, tiny_prior, deqir) -> None:
    write_archive(tmp_path / "in", 2)
    assert deqir("restore", tmp_path / "in", tmp_path / "out", *quick(tiny_prior)).returncode == 0
    told = deqir("status", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    heading, line = told.stdout.splitlines()
    assert heading.startswith("job ")
    assert line.split()[3:] == ["2", "2", "0", "0"]


def test_an_image_that_was_replaced_and_restored_is_no_failure_to_any_command(tmp_path, tiny_prior, deqir) -> None:
    """The exit status, the summary and the status of the job agree."""
    write_archive(tmp_path / "in", 1)
    put(tmp_path / "in", "torn.png", b"not an image")
    restore = ["restore", tmp_path / "in", tmp_path / "out", *quick(tiny_prior)]
    assert deqir(*restore).returncode == 3
    put(tmp_path / "in", "torn.png", image_bytes(5))
    run = deqir(*restore, "--json")
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout)
    assert summary.pop("done_in_this_run") == 1
    assert (summary["restored"], summary["failed"], summary["replaced"], summary["failures"]) == (2, 0, 1, [])
    assert json.loads(deqir("status", tmp_path / "out", "--json").stdout) == [summary]
    told = deqir("status", tmp_path / "out", "--job", summary["job_id"]).stdout
    assert re.search(r"older versions\W+1 \(replaced in the source", told), told
    assert "torn.png" not in told
