"""`deqir status` is read on narrow terminals and by other programs."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from flows.status import overview
from pipeline.summary import JobSummary, summary_of
from tests.flows.conftest import Command
from tests.pipeline.archive import write_archive

BARE = replace(summary_of("0123456789abcdef", "/restored", []), failed=4, skipped=12)
MEASURED = replace(
    BARE,
    job_id="fedcba9876543210",
    restored=999_983,
    conflicts=0,
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
def test_no_heading_and_no_number_is_cut(width: int, terminal: bool) -> None:
    heading, bare, measured = shown([BARE, MEASURED], width=width, terminal=terminal).splitlines()
    assert " ".join(heading.split()) == "job last row (UTC) images restored failed skipped conflict PSNR"
    assert bare.split() == ["0123456789abcdef", "16", "0", "4", "12", "0"]
    assert " ".join(measured.split()) == "fedcba9876543210 2031-07-09 20:05 999,999 999,983 4 12 0 23.46"
    assert len(heading) == len(measured) <= 80


def test_larger_numbers_widen_their_column() -> None:
    heading, line = shown([replace(MEASURED, restored=123_456_789)], width=80, terminal=False).splitlines()
    assert line.split()[3:5] == ["123,456,805", "123,456,789"]
    assert heading.index("restored") + len("restored") == line.index("123,456,789") + len("123,456,789")


def test_the_command_prints_its_columns_whole_into_a_pipe(tmp_path: Path, tiny_prior: str, deqir: Command) -> None:
    write_archive(tmp_path / "in", 2)
    options = ["--prior", tiny_prior, "--scale", "2", "--steps", "3", "--executor", "local"]
    assert deqir("restore", tmp_path / "in", tmp_path / "out", *options).returncode == 0
    told = deqir("status", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    heading, line = told.stdout.splitlines()
    assert heading.startswith("job ")
    assert line.split()[3:] == ["2", "2", "0", "0", "0"]
