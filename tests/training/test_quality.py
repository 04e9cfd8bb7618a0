"""The quality benchmark at a tiny size: its tasks, its tables, and that it measures nothing twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import quality
from benchmarks.quality import Method, Record, tables
from benchmarks.tasks import TASKS
from benchmarks.test_set import middle_square
from tests.training.photographs import PICTURE


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_hides_something_and_shows_something(task) -> None:
    x, A = middle_square(PICTURE, 96), TASKS[task].operator(96)
    y = TASKS[task].observe(A, x)
    noise = 2 * TASKS[task].noise
    exact = A(x).clamp(-1, 1) if TASKS[task].rounded else A(x)
    assert float((y - exact).abs().max()) < 1.01 / 255 + 6 * noise
    start = A.start(y)
    assert start.shape == TASKS[task].rival(A, y).shape == x.shape
    assert 0 < float((start - x).square().mean()) < float(x.square().mean())


def test_a_second_run_measures_only_what_is_missing(offline, tiny_prior, tmp_path, monkeypatch, capsys) -> None:
    command = ["quality", "--size", "64", "--task", "sr4", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", command)
    quality.main()
    first = json.loads((tmp_path / "quality.json").read_text())["records"]
    assert [row["method"]["name"] for row in first] == ["simple", "start"]
    monkeypatch.setattr("sys.argv", [*command, "--prior", tiny_prior, "--start-noise", "0.1", "--start-noise", "9"])
    quality.main()
    second = json.loads((tmp_path / "quality.json").read_text())["records"]
    assert second[:2] == first
    assert [row["method"]["start_noise"] for row in second[2:]] == [0.1]
    assert "| sr4 (1) |" in capsys.readouterr().out
    assert "tiny, start noise 0.1" in (tmp_path / "quality.md").read_text()


def test_tables_hold_means_over_photographs() -> None:
    one = Record(
        method=Method(name="start"), task="sr4", photograph="a", size=8, psnr=20, ssim=0.5, lpips=0.2, seconds=1
    )
    other = replace(one, photograph="b", psnr=30, ssim=0.7, lpips=0.4)
    assert tables([one, other]).splitlines()[-1] == "| sr4 (2) | 25.00 / 0.600 / 0.300 |"


def test_methods_are_compared_on_the_photographs_that_all_were_given() -> None:
    easy = Record(
        method=Method(name="start"), task="sr4", photograph="a", size=8, psnr=40, ssim=0.9, lpips=0, seconds=1
    )
    hard = replace(easy, photograph="b", psnr=20)
    late = replace(hard, method=Method(name="mine"), psnr=21)
    assert tables([easy, hard, late]).splitlines()[-1].split("|")[1:3] == [" sr4 (1) ", " 20.00 / 0.900 / 0.000 "]
