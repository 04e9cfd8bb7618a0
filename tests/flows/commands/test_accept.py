"""`deqir accept`, and the exit status while images wait for it."""

from __future__ import annotations

import getpass
import json

from pipeline.manifest.accepted import ACCEPTED
from tests.flows.conftest import one_line
from tests.pipeline.archive import image_bytes, put
from tests.pipeline.worker.test_doubts import blurred

SR = ("--task", "sr", "--scale", "2", "--steps", "1", "--executor", "local", "--device", "cpu")


def test_images_set_aside_are_listed_and_delivered_when_somebody_accepts_them(tmp_path, tiny_prior, deqir) -> None:
    source, destination = tmp_path / "in", tmp_path / "out"
    for key in ("a.png", "b.png"):
        put(source, key, blurred())
    restore = ("restore", source, destination, "--prior", tiny_prior, *SR)
    run = deqir(*restore)
    assert run.returncode == 3, run.stderr
    assert "2 set aside (the image is softer than this treatment expects)" in run.stdout
    assert "a.png: set aside: the image is softer" in run.stdout
    assert f"deqir accept {destination} --job " in run.stdout
    assert "2 set aside" in run.stderr

    (summary,) = json.loads(deqir("status", destination, "--json").stdout)
    assert (summary["set_aside"], summary["accepted"], len(summary["aside"])) == (2, 0, 2)
    heading = deqir("status", destination).stdout.splitlines()[0].split()
    assert heading[heading.index("restored") + 1] == "aside"

    done = deqir("accept", destination, "a.png", "c.png")
    assert done.returncode == 3
    assert "c.png: no image of this name is set aside" in done.stdout
    assert done.stdout.endswith("1 image delivered, 1 not\n")
    assert (destination / "a.png").exists()
    assert deqir("accept", destination, "--all", "--by", "Ada").returncode == 0
    records = [part.read_bytes() for part in destination.glob(".deqir/*/accepted/*.parquet")]
    people = {row.source_key: row.accepted_by for part in records for row in ACCEPTED.decode(part)}
    assert people == {"a.png": getpass.getuser(), "b.png": "Ada"}
    then = deqir(*restore)
    assert then.returncode == 0, then.stderr
    assert "2, of which 2 accepted since" in then.stdout


def test_accept_wants_names_or_all(tmp_path, deqir) -> None:
    assert "name the images to deliver, or say --all" in one_line(deqir("accept", tmp_path))
    assert "name the images to deliver, or say --all" in one_line(deqir("accept", tmp_path, "a.png", "--all"))
    assert "holds no job" in one_line(deqir("accept", tmp_path, "--all"))


def test_images_of_other_kinds_end_a_run_with_status_3_and_other_files_do_not(tmp_path, tiny_prior, deqir) -> None:
    put(tmp_path / "in", "clean.jpg", image_bytes(3, kind="JPEG", quality=95))
    put(tmp_path / "in", "notes.txt", b"taken in 1931")
    restore = ("restore", tmp_path / "in", tmp_path / "out", "--prior", tiny_prior, "--executor", "local")
    run = deqir(*restore)
    assert run.returncode == 0, run.stderr
    assert "1 unchanged (nothing to restore)" in run.stdout
    assert (tmp_path / "out/clean.jpg").read_bytes() == (tmp_path / "in/clean.jpg").read_bytes()
    put(tmp_path / "in", "scan.tif", b"of another kind")
    run = deqir(*restore)
    assert run.returncode == 3, run.stderr
    assert "1 of them an image of a kind that cannot be restored" in run.stdout
