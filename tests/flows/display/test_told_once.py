"""What the command line says of a run, each thing once: failures, what was skipped, what a rerun did."""

from __future__ import annotations

from pathlib import Path

import pytest

from deqir.models import describe_model
from tests.flows.conftest import quick
from tests.pipeline.archive import image_bytes, put, write_archive


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    """Two images, two broken files and three that are none, and where they are restored to."""
    source = tmp_path / "in"
    write_archive(source, 2)
    put(source, "cut.png", image_bytes(7)[:100])
    put(source, "empty.jpg", b"")
    for name in ("a.tif", "b.tif", "notes.txt"):
        put(source, name, b"something else")
    return [source, tmp_path / "out"]


def test_each_failure_and_what_was_skipped_is_told_once_and_the_log_keeps_its_lines_for_who_asks(
    places, tiny_prior, deqir
) -> None:
    first = deqir("restore", *places, *quick(tiny_prior))
    assert first.returncode == 3, first.stderr
    for name in ("cut.png", "empty.jpg"):
        assert (first.stdout.count(name), first.stderr.count(name)) == (1, 0)
    skipped = "3 skipped: their names are not of JPEG, PNG or WebP files (.tif 2, .txt 1)"
    assert first.stdout.count(f"{skipped}; 2 of them images of kinds that cannot be restored") == 1
    assert "7 of 7 images, 2 failed" in first.stderr

    again = deqir("restore", *places, *quick(tiny_prior))
    assert again.returncode == 3
    assert "7 of 7 images, 0 failed in this run" in again.stderr

    asked = deqir("restore", places[0], places[1].with_name("other"), *quick(tiny_prior), "--verbose")
    assert "image failed" in asked.stderr.replace("\n", " ")
    assert "cut.png" in asked.stderr


def test_what_is_known_of_a_network_is_told_whole_however_narrow_the_page_is(deqir) -> None:
    shown = deqir("models", "show", "bundled", COLUMNS="40")
    assert shown.returncode == 0, shown.stderr
    digest = str(describe_model("bundled")["sha256"])
    assert len(digest) == 64
    (line,) = (line for line in shown.stdout.splitlines() if digest in line)
    assert line.split() == ["sha256", digest]
