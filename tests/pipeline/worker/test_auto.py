"""Images of which nothing is told: each gets the treatment that it needs, or is copied."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import deqir
from deqir import Request, image_seed
from deqir.operators import Denoising, SuperResolution
from pipeline.inputs.treatment import Stage
from tests.pipeline.archive import image_bytes, pixels, put, restore_job, snapshot
from tests.pipeline.jobs import again, run_job, summary_of
from tests.pipeline.shard_runs import assert_same_image, run

AUTO: dict[str, Any] = {"task": "auto"}


def noisy(sigma: float = 20) -> bytes:
    """A photograph with white noise, of 255."""
    image = data.astronaut()[:64, 200:264] * 0.7 + 30
    noise = np.random.default_rng(0).normal(0, sigma, image.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def compressed() -> bytes:
    """A part of a photograph as a JPEG of quality 20; its sides are whole units."""
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()[:64, 200:264]).save(buffer, "JPEG", quality=20)
    return buffer.getvalue()


def test_an_image_that_needs_nothing_is_copied_under_its_own_name(source, destination, opened) -> None:
    given = image_bytes(3, kind="JPEG", quality=95)
    put(source, "a/clean.jpg", given)
    _, worker, shards = opened(degradation=AUTO)
    (row,) = run(worker, shards[0])
    assert (destination / "a/clean.jpg").read_bytes() == given
    assert not (destination / "a/clean.png").exists()
    assert (row.status, row.output_key, row.output_size) == ("unchanged", "a/clean.jpg", len(given))
    assert row.output_sha256 == row.source_sha256 == hashlib.sha256(given).hexdigest()
    assert row.decisions is not None
    assert row.decisions[0].startswith("nothing to restore: ")
    assert (row.nfe, row.doubts) == (None, None)


def test_a_copy_is_known_again_by_its_bytes(source, destination, opened) -> None:
    put(source, "clean.png", image_bytes(3))
    _, worker, shards = opened(degradation=AUTO)
    run(worker, shards[0])
    before = snapshot(destination)
    (part,) = destination.glob(".deqir/*/manifest/*")
    part.unlink()
    (row,) = run(worker, shards[0])
    assert row.status == "unchanged"
    assert snapshot(destination)["clean.png"] == before["clean.png"]


def test_another_object_at_the_place_of_a_copy_is_left_alone(source, destination, opened) -> None:
    put(source, "clean.jpg", image_bytes(3, kind="JPEG", quality=95))
    put(destination, "clean.jpg", b"of somebody else")
    _, worker, shards = opened(degradation=AUTO)
    (row,) = run(worker, shards[0])
    assert (row.status, row.error_type) == ("conflict", "ConflictError")
    assert (destination / "clean.jpg").read_bytes() == b"of somebody else"


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_no_copy_takes_the_place_of_another_images_output(source, destination, opened, form) -> None:
    """Names with each other's extensions, one image of each pair with noise, and so with an output of its own."""
    names = ["a.jpg", "a.png", "a.webp", "a.jpg.png", "a.png.jpg", "a.png.webp", "b.png", "b.PNG", "c.jpeg", "c.jpg"]
    kinds = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
    for seed, name in enumerate(names):
        put(
            source,
            name,
            noisy(20 + seed)
            if name[0] == "a" and seed % 2
            else image_bytes(seed, kind=kinds.get(Path(name).suffix, "PNG")),
        )
    _, worker, shards = opened(degradation=AUTO, result={"output_format": form}, runtime={"shard_size": 100})
    rows = run(worker, shards[0])
    assert {row.status for row in rows} == {"restored", "unchanged"}
    assert len({row.output_key for row in rows}) == len(names)
    for row in rows:
        stored = (destination / str(row.output_key)).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == row.output_sha256
        assert row.status != "unchanged" or row.output_sha256 == row.source_sha256


def test_a_new_version_that_needs_nothing_is_copied_beside_the_old_one(source, destination, tiny_prior) -> None:
    first, second = (image_bytes(n, kind="JPEG", quality=95) for n in (1, 2))
    settings = restore_job(source, destination, tiny_prior, degradation=AUTO)
    for version in (first, second):
        put(source, "clean.jpg", version)
        job = run_job(settings)
    assert (destination / "clean.jpg").read_bytes() == first
    assert (destination / "clean.jpg.png.jpg").read_bytes() == second
    assert (summary_of(job).counts.unchanged, summary_of(job).replaced) == (1, 1)


def test_a_lost_copy_is_made_again_by_a_retry(source, destination, tiny_prior) -> None:
    put(source, "clean.jpg", image_bytes(1, kind="JPEG", quality=95))
    settings = restore_job(source, destination, tiny_prior, degradation=AUTO)
    summary = summary_of(run_job(settings))
    assert summary.is_complete
    assert summary.unchanged_for == {"nothing to restore": 1}
    (destination / "clean.jpg").unlink()
    run_job(again(settings))
    assert (destination / "clean.jpg").read_bytes() == (source / "clean.jpg").read_bytes()


def test_noise_is_found_and_removed(source, destination, opened) -> None:
    put(source, "noisy.png", noisy())
    job, worker, shards = opened(degradation=AUTO)
    (row,) = run(worker, shards[0])
    assert row.status == "restored"
    assert row.decisions is not None
    assert row.decisions[0].startswith("denoise: noise of ")
    assert row.noise == pytest.approx(20 / 255, rel=0.25)
    assert pixels(destination / "noisy.png").shape == (64, 64, 3)
    assert summary_of(run_job(job.config)).decisions == {"denoise": 1}


def test_a_coarse_jpeg_is_undone_and_then_enlarged_and_costs_both(source, destination, opened) -> None:
    """The same as two runs of the engine, the second on the result of the first with the noise of its stage."""
    given = compressed()
    put(source, "coarse.jpg", given)
    put(source, "clean.png", image_bytes(3))
    _, worker, shards = opened(degradation=AUTO | {"scale": 2})
    rows = {row.source_key: row for row in run(worker, shards[0])}
    row = rows["coarse.jpg"]
    assert row.decisions is not None
    assert [text.partition(":")[0] for text in row.decisions] == ["jpeg", "enlarge"]
    assert [text.partition(",")[0] for text in rows["clean.png"].decisions] == ["enlarge: 2 times"]
    assert rows["clean.png"].nfe == 3
    assert (row.nfe, row.rounds) == (6, 6)

    (prepared,) = [worker._prepare(ref, shard_id="s") for ref in shards[0].images if ref.key == "coarse.jpg"]
    assert not isinstance(prepared, type(row))
    engine, seed = worker.solver.engine, image_seed(0, hashlib.sha256(given).hexdigest())
    y = prepared.y
    for level, stage in enumerate(prepared.stages):
        own = image_seed(seed, f"stage {level}") if level else seed
        request = Request(y=y, operator=stage.operator, seed=own, tag=None, sigma_y=stage.sigma_y)
        own_engine = deqir.Engine(engine.prior, replace(engine.settings, **stage.settings))
        (result,) = own_engine.run([request])
        assert isinstance(result, deqir.Result)
        y = result.image.clamp(-1, 1)
    expected = ((y + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0).numpy()
    assert_same_image(pixels(destination / "coarse.png"), expected)


def test_a_stage_may_have_settings_of_its_own(source, opened) -> None:
    put(source, "noisy.png", noisy())
    _, worker, shards = opened(degradation=AUTO)
    (prepared,) = [worker._prepare(ref, shard_id="s") for ref in shards[0].images]
    (stage,) = prepared.stages  # type: ignore[union-attr]
    once = replace(stage, settings={"steps": 1})
    larger = Stage(operator=SuperResolution(scale=2), sigma_y=0.0, settings={"steps": 2})
    staged = replace(prepared, stages=(once, larger))  # type: ignore[type-var]
    (restored,) = worker.solver([staged], deqir.Tally(), most=1)
    assert (restored.row.nfe, restored.row.steps) == (3, 2)  # type: ignore[union-attr]
    assert tuple(restored.image.shape) == (3, 128, 128)  # type: ignore[union-attr]


def test_the_agreement_of_stages_is_that_of_their_degradations_together() -> None:
    from pipeline.worker.stages import agreement

    torch.manual_seed(0)
    x, y = torch.rand(3, 8, 8) * 2 - 1, torch.rand(3, 4, 4) * 2 - 1
    stages = (Stage(operator=Denoising(), sigma_y=0.1), Stage(operator=SuperResolution(scale=2), sigma_y=0.0))
    small = x.reshape(3, 4, 2, 4, 2).mean((2, 4))
    expected = float((small - y).norm() / y.norm())
    assert agreement(x, x, y, stages) == pytest.approx(expected, rel=1e-5)
