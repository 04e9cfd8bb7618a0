"""The command line as its users meet it: real folders, a real store, a real Prefect server, real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from flows.display.exit_status import say
from pipeline.job.job import find_jobs
from pipeline.keys import Layout
from pipeline.manifest.schema import ManifestRow
from pipeline.store import open_store
from tests.flows.conftest import command, one_line, quick
from tests.pipeline.archive import assert_kept, image_bytes, pixels, put, snapshot, write_archive
from tests.pipeline.rows import read_rows


def rows_in(destination: str) -> list[ManifestRow]:
    """The rows of a destination's only job; fails where an input has two."""
    (job,) = find_jobs(destination)
    rows = list(read_rows(open_store(destination, writable=False), Layout(job)))
    assert len({row.source_key for row in rows}) == len(rows)
    return rows


def test_bad_files_among_good_ones_are_named_and_the_rest_is_restored(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    good = write_archive(source, 3)
    put(source, "cut.png", image_bytes(7)[:100])
    put(source, "empty.jpg", b"")
    put(source, "letter.jpg", b"Dear Sir or Madam,\n" * 20)
    put(source, "dot.png", image_bytes(1, size=(1, 1)))
    put(source, "notes.txt", b"taken in 1931")
    run = deqir("restore", source, destination, *quick(tiny_prior))
    assert run.returncode == 3, run.stderr
    status = {row.source_key: row.status for row in rows_in(str(destination))}
    bad = ("cut.png", "empty.jpg", "letter.jpg")
    assert status == {
        **dict.fromkeys([*good, "dot.png"], "restored"),
        **dict.fromkeys(bad, "failed"),
        "notes.txt": "skipped",
    }
    assert all(f"{key}: " in run.stdout for key in bad)
    assert "Traceback" not in run.stdout + run.stderr
    assert pixels(destination / "dot.png").shape == (2, 2, 3)

    before = snapshot(destination)
    again = deqir("restore", source, destination, *quick(tiny_prior), "--json")
    assert again.returncode == 3
    assert json.loads(again.stdout)["done_in_this_run"] == 0
    assert snapshot(destination) == before

    told = deqir("status", destination, "--json")
    (summary,) = json.loads(told.stdout)
    assert (summary["restored"], summary["failed"], summary["skipped"]) == (4, 3, 1)


def test_a_second_run_restores_nothing_and_says_so_and_new_images_are_done_alone(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    write_archive(source, 2)
    assert deqir("restore", source, destination, *quick(tiny_prior)).returncode == 0
    again = deqir("restore", source, destination, *quick(tiny_prior))
    assert again.returncode == 0
    assert "nothing was left to restore" in again.stdout
    put(source, "new.png", image_bytes(9))
    third = deqir("restore", source, destination, *quick(tiny_prior), "--json")
    assert json.loads(third.stdout)["done_in_this_run"] == 1
    assert len(rows_in(str(destination))) == 3


def test_a_test_archive_is_degraded_and_restored_against_its_originals(tmp_path, tiny_prior, deqir) -> None:
    originals = tmp_path / "originals"
    put(originals, "a/one.png", image_bytes(1, size=(24, 16)))
    put(originals, "a/odd.jpg", image_bytes(2, size=(19, 17), kind="JPEG"))
    run = deqir("degrade", originals, tmp_path / "small", "--task", "sr", "--scale", "4")
    assert run.returncode == 0, run.stderr
    truth = pixels(originals / "a/one.png").reshape(4, 4, 6, 4, 3).mean((1, 3))
    assert np.abs(pixels(tmp_path / "small/a/one.png") - truth).max() <= 0.5
    assert pixels(tmp_path / "small/a/odd.png").shape == (4, 4, 3)  # the sides' remainders are cut off
    refused = deqir("degrade", originals, tmp_path / "none", "--task", "sr", "--scale", "4", "--max-pixels", "350")
    assert refused.returncode == 3
    assert "a/one.png: ImageTooLargeError" in refused.stdout
    assert (tmp_path / "none/a/odd.png").exists()
    options = ("--reference", originals, "--prior", tiny_prior, "--steps", "3", "--executor", "local", "--json")
    run = deqir("restore", tmp_path / "small", tmp_path / "out", "--task", "sr", *options)
    summary = json.loads(run.stdout)
    assert summary["measured"] == 2
    assert summary["psnr"] > 15


def test_degrading_by_a_mask_and_to_grey_keeps_what_is_kept(tmp_path, deqir) -> None:
    put(tmp_path / "originals", "one.png", image_bytes(1, size=(24, 16)))
    mask = np.zeros((16, 24), np.uint8)
    mask[3:7, 5:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = ("--task", "inpaint", "--mask", tmp_path / "mask.png")
    assert deqir("degrade", tmp_path / "originals", tmp_path / "holed", *options).returncode == 0
    original, holed = (pixels(tmp_path / name / "one.png") for name in ("originals", "holed"))
    assert np.array_equal(holed[mask == 0], original[mask == 0])
    assert len(np.unique(holed[mask > 0])) == 1
    assert deqir("degrade", tmp_path / "originals", tmp_path / "grey", "--task", "colorize").returncode == 0
    luma = original @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels(tmp_path / "grey/one.png") - luma).max() <= 0.51  # half a level, and float32


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("restore", "{tmp}/nowhere", "{tmp}/out"), "nowhere"),
        (("restore", "{tmp}/in", "{tmp}/in/out"), "must lie apart"),
        (("restore", "{tmp}/in", "{tmp}/out", "--prior", "no-such"), "deqir models list"),
        (("restore", "{tmp}/in", "{tmp}/out", "--steps", "0"), "--steps 0: must be at least 1"),
        (("restore", "{tmp}/in", "{tmp}/out", "--device", "tpu"), "--device tpu: must be auto, cpu"),
        (("deploy", "nightly", "{tmp}/in", "{tmp}/out", "--scale", "-2"), "--scale -2: must be at least 1"),
        (("restore", "{tmp}/in", "{tmp}/out", "--task", "inpaint"), "--mask"),
        (("restore", "gs://bucket/in", "{tmp}/out"), "gs://"),
        (("restore", "{tmp}/in", "{tmp}/out", "--start-noise", "0.001"), "--start-noise 0.001 must be above"),
        (("restore", "{tmp}/in", "{tmp}/out", "--guide", ""), "--guide is empty"),
        (("status", "{tmp}/in"), "holds no job"),
        (("status", ""), "is empty"),
        (("models", "show", "no-such"), "deqir models fetch NAME"),
        (("models", "fetch", "no-such"), "no-such"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(tmp_path, deqir, arguments, text) -> None:
    write_archive(tmp_path / "in", 1)
    assert text in one_line(deqir(*(each.format(tmp=tmp_path) for each in arguments)))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU that is asked for")
@pytest.mark.parametrize("executor", ["ray", "local"])
def test_a_gpu_that_is_not_there_is_missed_before_anything_begins(tmp_path, tiny_prior, deqir, executor) -> None:
    write_archive(tmp_path / "in", 1)
    options = [*quick(tiny_prior), "--executor", executor, "--device", "cuda"]
    line = one_line(deqir("restore", tmp_path / "in", tmp_path / "out", *options))
    assert line.startswith("error: --device cuda needs a GPU with CUDA")
    assert not (tmp_path / "out").exists()


def test_the_summary_says_where_samples_and_their_spread_are(tmp_path, tiny_prior, deqir) -> None:
    (key,) = write_archive(tmp_path / "in", 1)
    run = deqir("restore", tmp_path / "in", tmp_path / "out", *quick(tiny_prior), "--samples", "2")
    assert run.returncode == 0, run.stderr
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("samples, mean and spread"))
    assert pixels(Path(line.partition(": ")[2]) / key / "spread.png").shape == (32, 32, 3)


@pytest.mark.ray
def test_a_process_killed_in_the_middle_is_finished_by_the_same_command(
    tmp_path, tiny_prior, deqir, prefect_environment
) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    keys = write_archive(source, 16)
    options = ["--prior", tiny_prior, "--task", "sr", "--scale", "2", "--steps", "40", "--shard-size", "4"]
    process = subprocess.Popen(
        command("restore", source, destination, *options),
        env=prefect_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while len(list(destination.glob("album/*.png"))) < 6:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: state for path, state in snapshot(destination).items() if path.endswith(".png")}
    assert len(before) < len(keys)
    run = deqir("restore", source, destination, *options)
    assert run.returncode == 0, run.stderr
    assert Counter(row.status for row in rows_in(str(destination))) == {"restored": len(keys)}
    assert_kept(before, destination)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_run_ends_soon_and_is_resumed(
    tmp_path, tiny_prior, deqir, prefect_environment, number, status
) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    write_archive(source, 12)
    options = [*quick(tiny_prior), "--steps", "1000", "--shard-size", "2"]
    process = subprocess.Popen(
        command("restore", source, destination, *options),
        env=prefect_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(destination.glob(".deqir/*/manifest/*.parquet")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, messages = process.communicate()
    assert process.returncode == status, messages
    assert "Traceback" not in messages
    assert messages.splitlines()[-1] == "error: interrupted; run the same command again to resume"
    assert deqir("restore", source, destination, *options).returncode == 0
    assert len(rows_in(str(destination))) == 12


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_words_are_completed(deqir, shell) -> None:
    script = deqir(_DEQIR_COMPLETE=f"source_{shell}")
    assert f"_DEQIR_COMPLETE=complete_{shell}" in script.stdout, script.stderr
    for words, found in (("deqir re", ("restore", "retry")), ("deqir restore A B --dr", ("--dry-run",))):
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        asked |= {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        run = deqir(**asked, _DEQIR_COMPLETE=f"complete_{shell}")
        assert all(each in run.stdout for each in found), run.stdout + run.stderr


def test_an_error_is_shown_without_the_colours_and_with_the_brackets_of_its_text(capsys) -> None:
    say(Console(stderr=True), "\x1b[36mray::ShardActor.__init__()\x1b[39m [pid=1]: \x1b[1;31mdied\x1b[0m")
    assert capsys.readouterr().err == "error: ray::ShardActor.__init__() [pid=1]: died\n"
