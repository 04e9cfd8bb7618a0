"""What runs show in Prefect, apart from a server: tables, pictures, the summary page and its size."""

from __future__ import annotations

import html
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flows.credentials import variables_of
from flows.display.summary import as_data
from flows.flow.artifacts import Tally, cell
from flows.flow.pages import headline, markdown
from flows.flow.plots import by_round, convergence
from flows.flow.restore_archive import waves
from pipeline.errors import ConfigurationError
from pipeline.reporting.before_after import Exhibit
from pipeline.reporting.summary import Failure, JobSummary, SetAside
from pipeline.shards import ShardReport
from pipeline.status import Counts, Status

SUMMARY = JobSummary(
    job_id="0123456789abcdef", destination="s3://archive/out", counts=Counts(restored=3),
    to_do=0, unsupported=0, not_images=0, endings={}, replaced=0,
    restored_since=0, accepted=0, aside=(), decisions={}, unchanged_for={},
    failures=(), fallbacks=0, suspects=0, rounds=9, nfe=60, seconds=3.0, psnr=None, psnr_given=None, psnr_start=None,
    ssim=None, measured=0, sampled=0,
    started_at=datetime(2026, 1, 1, tzinfo=UTC), finished_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


@pytest.mark.parametrize("shards", [1, 2, 19, 20, 21, 39, 200, 1001])
def test_waves_are_at_most_twenty_and_have_each_shard_once(shards) -> None:
    found = list(waves(shards))
    assert len(found) <= 20
    assert [shard for first, last in found for shard in range(first, last + 1)] == list(range(1, shards + 1))


def test_a_tally_adds_up_shards_and_names_what_failed_most() -> None:
    tally = Tally()
    for errors in ((("DecodeError", 1),), (("DecodeError", 2), ("EmptyFileError", 1))):
        tally.add(ShardReport(shard_id="x", counts=Counts(restored=4, failed=2), nfe=80, errors=errors, seconds=2.0))
    assert tally.row("all", seconds=6.0) == {
        "worker": "all",
        "shards": 2,
        "images": 12,
        "images/min": 120.0,
        "NFE/image": 20.0,
        "not restored": "3 DecodeError, 1 EmptyFileError",
        "set aside": 0,
    }
    assert Tally().row("all", seconds=0.0)["images/min"] is None


@example("_DSC_0123_.jpg")
@example("__0__")
@example("scan__01")
@example("x <html> & &lt; ~~y~~ **z** [a](b) `c` \\ | d")
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" _*<>&|"), min_size=1))
def test_a_name_shows_in_markdown_as_it_is_whatever_its_characters(name) -> None:
    shown = MarkdownIt("commonmark").enable("strikethrough").renderInline(f"x{cell(name)}x")
    assert html.unescape(shown) == f"x{name}x"


def test_a_name_with_underscores_can_be_searched_for() -> None:
    assert cell("scan_0001_back.png") == "scan_0001_back.png"


def test_residuals_by_round_keep_the_last_of_images_that_were_done_sooner() -> None:
    assert by_round([[1.0, 0.1], [3.0, 0.5, 0.01], []], [3.0, 0.5, 0.1]) == [
        (2.0, 3.0),
        (0.3, 0.5),
        (pytest.approx(0.055), 0.1),
    ]
    assert by_round([], []) == []


@pytest.mark.parametrize(
    ("values", "tolerance"),
    [([(1.0, 2.0), (1e-3, 1e-2)], 5e-3), ([(0.0, 0.0), (0.0, math.inf)], 0.0), ([(1.0, 1.0)] * 30, 1.0)],
)
def test_a_plot_is_well_formed_and_inside_its_frame_whatever_the_residuals(values, tolerance) -> None:
    root = ElementTree.fromstring(convergence(values, tolerance=tolerance))
    lines = [each.attrib["points"] for each in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert len(lines) == 2
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.split()]
        assert len(points) == len(values)
        assert all(0 <= x <= 480 and 0 <= y <= 240 for x, y in points)


def test_a_plot_falls_where_residuals_fall() -> None:
    root = ElementTree.fromstring(convergence([(1.0, 1.0), (0.1, 0.1), (0.01, 0.01)], tolerance=0.0))
    (line, _) = [each.attrib["points"] for each in root.iter("{http://www.w3.org/2000/svg}polyline")]
    heights = [float(point.split(",")[1]) for point in line.split()]
    assert heights == sorted(heights)
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)


def test_a_page_stays_below_a_mebibyte_by_showing_fewer_pictures() -> None:
    pictures = [Exhibit(key=f"{each}.png", before=bytes(200_000), after=bytes(200_000)) for each in range(4)]
    page = markdown(SUMMARY, pictures, [], tolerance=0.005)
    assert len(page) <= 2**20
    assert "1.png" not in page
    assert "0.png" in page


def test_a_page_of_many_failures_shows_some_and_says_where_the_others_are() -> None:
    failures = tuple(
        Failure(key=f"{each}.png", status=Status.FAILED, error_type="DecodeError", error="damaged")
        for each in range(50)
    )
    page = markdown(replace(SUMMARY, counts=Counts(failed=50), failures=failures), [], [], tolerance=0.005)
    assert len(re.findall(r"^- \d+\.png: \*\*DecodeError\*\*, damaged$", page, re.MULTILINE)) == 20
    assert "and 30 more: see the table failures-0123456789abcdef" in page
    assert "    deqir retry s3://archive/out --job 0123456789abcdef" in page


def test_a_page_says_how_many_of_its_failures_were_since_restored() -> None:
    summary = replace(SUMMARY, counts=Counts(restored=3, failed=3), restored_since=3)
    page = markdown(summary, [], [], tolerance=0.005)
    assert "| failed | 3 |" in page
    assert "| restored since | 3 |" in page
    assert "not restored" not in page
    assert headline(summary) == "3 restored, 3 failed, 0 skipped, 0 in conflict; 3 restored since"
    assert "restored since" not in markdown(SUMMARY, [], [], tolerance=0.005) + headline(SUMMARY)


def test_a_page_says_what_was_decided_and_which_images_wait_for_acceptance() -> None:
    aside = tuple(SetAside(f"{n:02d}.png", ("ringing: beside edges",)) for n in range(30))
    counts = Counts(restored=3, unchanged=12, set_aside=32)
    told = {"decisions": {"jpeg": 2, "denoise": 1}, "unchanged_for": {"nothing to restore": 12}}
    summary = replace(SUMMARY, counts=counts, aside=aside, accepted=2, **told)
    page = markdown(summary, (), (), tolerance=0.0)
    assert "2 undone as JPEG, 1 denoised, 12 unchanged (nothing to restore), 30 set aside (ringing)." in page
    assert "- 00.png: ringing: beside edges" in page
    assert "... and 10 more" in page
    assert "deqir accept s3://archive/out --job 0123456789abcdef KEY" in page
    assert headline(summary).endswith("12 unchanged, set aside: 32, of which 2 accepted since")


def test_a_page_says_what_a_psnr_is_compared_with() -> None:
    measured = replace(SUMMARY, psnr=30.0, psnr_start=27.0, measured=3)
    page = markdown(measured, [], [], tolerance=0.005)
    assert "| PSNR without the network | 27.00 dB |" in page
    assert "as restored, and as made without the network, for example by a smooth enlargement." in page
    page = markdown(replace(measured, psnr_given=21.0), [], [], tolerance=0.005)
    assert "| PSNR as given | 21.00 dB |" in page
    assert "27.00" not in page
    assert "as restored, and as given." in page


def test_a_summary_says_where_samples_and_their_spread_are() -> None:
    place = "s3://archive/out/.deqir/0123456789abcdef/samples/"
    assert as_data(SUMMARY)["samples"] is None
    assert place not in markdown(SUMMARY, [], [], tolerance=0.005)
    sampled = replace(SUMMARY, sampled=3)
    assert as_data(sampled)["samples"] == place
    assert place in markdown(sampled, [], [], tolerance=0.005)


def test_a_page_without_failures_or_pictures_has_no_empty_section() -> None:
    page = markdown(SUMMARY, [], [], tolerance=0.005)
    assert "not restored" not in page
    assert "Before" not in page
    assert "Convergence" not in page


@pytest.mark.parametrize("held", [None, "not JSON", {}, {"PATH": "/bin"}, {"AWS_REGION": 1}, '["AWS_REGION"]'])
def test_a_block_that_holds_no_credentials_is_refused_without_showing_what_it_holds(held) -> None:
    with pytest.raises(ConfigurationError, match=r"archive: the block must hold a JSON object of AWS_\.\.\. variables"):
        variables_of("archive", held)


def test_a_block_holds_variables_as_an_object_or_as_its_text() -> None:
    assert variables_of("archive", {"AWS_REGION": "x"}) == variables_of("archive", '{"AWS_REGION": "x"}')
