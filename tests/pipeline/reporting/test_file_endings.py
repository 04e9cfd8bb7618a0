"""What was skipped for its name is told in a few endings, however many names there are."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.reporting.file_endings import ending_of, most_frequent
from tests.pipeline.archive import put, restore_job, write_archive
from tests.pipeline.jobs import run_job, summary_of


@pytest.mark.parametrize(
    ("key", "ending"),
    [
        ("a/scan.TIF", ".tif"),
        ("a.b/archive.tar.gz", ".gz"),
        ("a.b/README", "no ending"),
        ("album/", "folder marker"),
        ("album/._photo.jpg", "._*"),
        ("letter to Mr. Smith at the sea", "no ending"),
        ("x.\x1b[31m", "no ending"),
        (f"x.{'y' * 200}", "no ending"),
    ],
)
def test_an_ending_is_what_people_call_one(key, ending) -> None:
    assert ending_of(key) == ending


def test_the_most_frequent_come_first_and_all_others_as_one() -> None:
    endings = Counter({".a": 1, ".b": 9, ".c": 3, ".d": 3, ".e": 2, ".f": 2, ".g": 1})
    assert list(most_frequent(endings).items()) == [
        (".b", 9), (".c", 3), (".d", 3), (".e", 2), (".f", 2), ("other", 2),
    ]  # fmt: skip
    assert most_frequent(Counter({".tif": 1})) == {".tif": 1}


def test_a_summary_counts_each_file_that_is_no_image_once_in_its_newest_version(
    source, destination, tiny_prior
) -> None:
    write_archive(source, 2)
    put(source, "torn.png", b"not an image")
    for name in ("a.tif", "b.TIF", "sub/c.tif", "d.bmp", "notes"):
        put(source, name, b"something else")
    settings = restore_job(source, destination, tiny_prior, runtime={"shard_size": 3})
    for content in (b"as it was", b"changed since"):
        put(source, "d.bmp", content)
        job = run_job(settings)
    summary = summary_of(job)
    assert (summary.images, summary.counts.skipped, summary.not_images, summary.replaced) == (8, 5, 5, 1)
    assert summary.endings == {".tif": 3, ".bmp": 1, "no ending": 1}
