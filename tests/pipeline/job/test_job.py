"""A job from its settings to its summary."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from deqir.priors import BUNDLED
from pipeline.config import RestoreJob, ResultConfig, RuntimeConfig
from pipeline.errors import ConfigurationError
from pipeline.execution.local import LocalExecutor
from pipeline.execution.progress import Progress
from pipeline.fault_text import in_words
from pipeline.job.job import Job, executor_of, find_jobs, open_job, plan_job, recorded_job, run_shards, summarise
from pipeline.shards import ShardReport
from pipeline.status import Counts
from pipeline.store import open_store
from tests.pipeline.archive import image_bytes, put, restore_job, snapshot, write_archive


@pytest.fixture
def settings(tmp_path: Path, tiny_prior: str) -> RestoreJob:
    write_archive(tmp_path / "source", 6)
    put(tmp_path / "source", "album/notes.txt", b"taken in 1931")
    put(tmp_path / "source", "album/torn.jpg", b"not an image")
    return restore_job(tmp_path / "source", tmp_path / "destination", tiny_prior)


def run(job: Job) -> list[ShardReport]:
    return list(run_shards(job, plan_job(job).pending, on_progress=lambda progress: None))


def changed(job: RestoreJob, **result: object) -> RestoreJob:
    return RestoreJob.model_validate({**job.model_dump(), "result": {**job.result.model_dump(), **result}})


def test_a_job_is_restored_and_summed_up_from_its_manifest(settings, tmp_path) -> None:
    job = open_job(settings)
    planned = plan_job(job)
    assert (planned.inputs, planned.done, planned.waiting) == (8, 0, 8)
    assert planned.pending == planned.shards
    told: list[Progress] = []
    reports = list(run_shards(job, planned.pending, on_progress=told.append))
    assert told[-1] == Progress(counts=Counts(restored=6, failed=1, skipped=1))
    summary = summarise(settings.destination, job.id)
    assert summary.counts == Counts(restored=6, failed=1, skipped=1)
    assert summary.images == 8
    (failure,) = summary.failures
    assert (failure.key, failure.status, failure.error_type) == ("album/torn.jpg", "failed", "DecodeError")
    assert summary.rounds == sum(report.rounds for report in reports) == 6 * 3
    assert (summary.mean_rounds, summary.mean_nfe) == (3, 3)
    assert summary.seconds > 0
    assert summary.psnr is None
    assert summary.started_at is not None
    planned = plan_job(job)
    assert (planned.pending, planned.done, planned.waiting) == ((), 8, 0)


def test_running_a_job_again_changes_no_byte(settings, tmp_path) -> None:
    run(open_job(settings))
    before = snapshot(tmp_path / "destination")
    assert run(open_job(settings)) == []
    assert snapshot(tmp_path / "destination") == before


def test_new_inputs_are_added_to_the_plan_and_nothing_else_is_touched(settings, tmp_path) -> None:
    job = open_job(settings)
    run(job)
    before = snapshot(tmp_path / "destination")
    put(tmp_path / "source", "later/00.png", image_bytes(60))
    planned = plan_job(job)
    assert (planned.inputs, planned.done, len(planned.pending)) == (9, 8, 1)
    run(job)
    after = snapshot(tmp_path / "destination")
    assert {path: after[path] for path in before} == before
    assert summarise(settings.destination, job.id).counts.restored == 7


def test_every_committed_shard_is_one_line_at_info(settings, caplog) -> None:
    job = open_job(settings)
    with caplog.at_level(logging.INFO, logger="deqir.job"):
        reports = run(job)
    lines = [record.getMessage() for record in caplog.records if record.name == "deqir.job"]
    assert len(lines) == len(reports) == 2
    for line, report in zip(lines, reports, strict=True):
        counts = f"restored={report.counts.restored} failed={report.counts.failed}"
        assert f"job={job.id} shard={report.shard_id} {counts}" in line
        assert re.search(r"rounds=\d+ nfe=\d+ seconds=\d+\.\d images_per_s=\d", line)


def test_a_job_is_named_by_what_decides_its_pixels_and_by_nothing_else(settings, tmp_path, monkeypatch) -> None:
    job = open_job(settings)
    faster = settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"batch_size": 2})})
    assert open_job(faster).id == job.id
    measured = settings.model_copy(update={"reference": settings.source})
    assert open_job(measured).id == job.id
    monkeypatch.chdir(tmp_path)
    assert open_job(settings.model_copy(update={"source": "source", "destination": "destination"})).id == job.id
    others = {open_job(changed(settings, **change)).id for change in ({"seed": 1}, {"steps": 4}, {"eta": 0.5})}
    assert len(others | {job.id}) == 4
    assert find_jobs(settings.destination) == tuple(sorted(others | {job.id}))


def test_the_record_of_a_job_gives_the_job_back(settings, tmp_path) -> None:
    job = open_job(settings)
    (path,) = (tmp_path / "destination").glob(".deqir/*/job.json")
    record = json.loads(path.read_text())
    assert (record["job_id"], record["prior_digest"]) == (job.id, job.prior_digest)
    assert RestoreJob.model_validate(record["job"]) == job.config


def test_places_that_contain_each_other_are_refused(settings, tmp_path) -> None:
    inside = tmp_path / "source" / "restored"
    before = snapshot(tmp_path / "source")
    for source, destination, reference in (
        (tmp_path / "source", inside, None),
        (tmp_path / "source", tmp_path, None),
        (tmp_path / "source", tmp_path / "source", None),
        (tmp_path / "source", tmp_path / "elsewhere" / ".." / "source" / "restored", None),
        (tmp_path / "source", tmp_path / "originals" / "restored", tmp_path / "originals"),
    ):
        (tmp_path / "originals").mkdir(exist_ok=True)
        places = {"source": str(source), "destination": str(destination)}
        places["reference"] = str(reference) if reference else None
        with pytest.raises(ConfigurationError, match="must lie apart"):
            open_job(settings.model_copy(update=places))
    assert snapshot(tmp_path / "source") == before
    assert not inside.exists()


def test_a_neighbour_whose_name_starts_alike_is_no_overlap(settings, tmp_path) -> None:
    assert open_job(settings.model_copy(update={"destination": str(tmp_path / "source-restored")}))


def test_a_missing_source_is_named_and_nothing_is_written(settings, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        open_job(settings.model_copy(update={"source": str(tmp_path / "nowhere")}))
    assert not (tmp_path / "destination").exists()


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"prior": "./no-such-prior"}, "no-such-prior"),
        ({"prior": "nosuch"}, "prior 'nosuch' is not here .* deqir models list .* deqir models fetch NAME"),
        ({"degradation": {"task": "inpaint", "mask": "/no/such.png"}}, "cannot be used: /no: there is no such folder"),
        ({"degradation": {"task": "inpaint", "mask": f"{__file__}.png"}}, "cannot be used: there is no such file$"),
        ({"degradation": {"task": "inpaint", "mask": "/no/such/mask.png"}}, "mask"),
        ({"degradation": {"task": "inpaint", "mask": __file__}}, "mask"),
    ],
)
def test_what_a_job_needs_and_is_not_there_is_named(settings, result, text) -> None:
    with pytest.raises(ConfigurationError, match=text):
        open_job(changed(settings, **result))
    assert not Path(settings.destination).exists()


@pytest.mark.parametrize(
    ("runtime", "text"),
    [
        ({"device": "tpu"}, "must be auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:1", "executor": "ray"}, "Ray gives each actor its GPU"),
    ],
)
def test_a_device_that_no_machine_has_is_refused(runtime, text) -> None:
    with pytest.raises(ValidationError, match=text):
        RuntimeConfig.model_validate(runtime)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU that the job asks for")
@pytest.mark.parametrize(
    "runtime", [{"device": "cuda"}, {"device": "cuda:1"}, {"device": "cuda", "executor": "ray", "ray_address": None}]
)
def test_a_gpu_that_this_machine_does_not_have_is_refused_before_anything_is_written(settings, runtime) -> None:
    wrong = settings.model_copy(update={"runtime": settings.runtime.model_copy(update=runtime)})
    with pytest.raises(ConfigurationError, match="say auto or cpu"):
        open_job(wrong)
    assert not Path(settings.destination).exists()


@pytest.mark.ray
def test_a_gpu_that_no_node_of_a_cluster_has_is_refused_before_anything_is_written(settings, ray_cluster) -> None:
    runtime = {"device": "cuda", "executor": "ray", "ray_address": ray_cluster}
    wrong = settings.model_copy(update={"runtime": settings.runtime.model_copy(update=runtime)})
    with pytest.raises(ConfigurationError, match="no node of the Ray cluster has one: say auto or cpu"):
        open_job(wrong)
    assert not Path(settings.destination).exists()


def test_looking_for_jobs_looks_into_none_of_them(settings, tmp_path, caplog) -> None:
    """A listing says how many links it met: there are none where it does not look, as below samples."""
    jobs = sorted(open_job(changed(settings, seed=seed)).id for seed in range(3))
    records = tmp_path / "destination/.deqir"
    for job_id in jobs:
        put(records, f"{job_id}/samples/job.json/job.json", b"a sample of an image with an odd name")
        (records / job_id / "samples/job.json/link").symlink_to(__file__)
    put(records, "events/00.jsonl", b"")
    put(records, "no-job/samples/a.png/mean.png", b"")
    store = open_store(settings.destination, writable=False)
    with caplog.at_level(logging.WARNING):
        assert find_jobs(settings.destination) == tuple(jobs)
        assert not caplog.records
        list(store.list(".deqir/"))
    assert "links=3" in caplog.records[0].getMessage()


def test_a_record_that_is_no_job_is_refused_in_words(settings, tmp_path) -> None:
    job = open_job(settings)
    (path,) = (tmp_path / "destination").glob(".deqir/*/job.json")
    record = json.loads(path.read_text())
    record["job"]["result"] |= {"stepz": 3, "steps": 0}
    del record["job"]["source"]
    path.write_text(json.dumps(record))
    with pytest.raises(ConfigurationError) as caught:
        recorded_job(settings.destination, job.id)
    told = str(caught.value).partition(" is no job of this version: ")[2]
    assert told == ("source: is missing; result.steps 0: must be at least 1; result.stepz 3: there is no such setting")
    path.write_text("{")
    with pytest.raises(ConfigurationError, match=r"job\.json is no record of a job: "):
        recorded_job(settings.destination, job.id)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            {"start_noise": 0.4},
            r"prior 'tiny' knows noise up to 0\.294 .* would start at 0\.400; choose a smaller start",
        ),
        ({"degradation": {"task": "denoise"}, "noise": 0.5}, r"would start at 0\.500"),
        ({"end_noise": 0.25}, r"`end_noise` 0\.25 must be below the noise of the start, which is 0\.1922 here"),
        ({"end_noise": 0.0628, "guide": "guides"}, r"which is 0\.06275 here"),
        (
            {"end_noise": 0.0628, "prior": BUNDLED, "degradation": {"task": "inpaint", "masks": "guides"}},
            r"which is 0\.06275 here",
        ),
    ],
)
def test_noise_that_no_chain_can_start_from_is_refused_before_anything_is_written(
    settings, tmp_path, monkeypatch, result, text
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guides").mkdir()
    with pytest.raises(ConfigurationError, match=text):
        open_job(changed(settings, **result))
    assert not Path(settings.destination).exists()


def test_a_tasks_own_noise_is_held_against_the_prior(settings, tmp_path) -> None:
    folder = tmp_path / "weak"
    shutil.copytree(settings.result.prior, folder)
    card = json.loads((folder / "deqir.json").read_text())
    (folder / "deqir.json").write_text(json.dumps({**card, "max_noise": 50 / 255}))
    assert open_job(changed(settings, prior=str(folder)))
    for degradation in ({"task": "colorize"}, {"task": "old-photo", "colour": "yes", "scale": 2}):
        with pytest.raises(ConfigurationError, match=r"knows noise up to 0\.196 .* would start at 0\.294"):
            open_job(changed(settings, prior=str(folder), degradation=degradation))
    guided = {"degradation": {"task": "colorize"}, "guide": settings.source}
    assert open_job(changed(settings, prior=str(folder), **guided))
    with pytest.raises(ConfigurationError, match=r"would start at 0\.294"):
        open_job(changed(settings, prior=str(folder), guide_by="colour", **guided))


@pytest.mark.parametrize(("end_noise", "least"), [(6 / 255, 0.024), (0.29, 0.291), (0.0004, 0.001), (1.0, 1.001)])
def test_a_start_below_the_last_step_is_refused_with_the_least_that_serves(end_noise, least) -> None:
    for noise in (end_noise, end_noise / 2):
        with pytest.raises(ValidationError, match=rf"must be above the noise .*: say {least} or more"):
            ResultConfig(start_noise=noise, end_noise=end_noise)
        assert ResultConfig(start_noise=noise, end_noise=end_noise, steps=1)
    assert ResultConfig(start_noise=least, end_noise=end_noise)


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    ("place", "settings_of"),
    [
        ("source", lambda text: {"source": text}),
        ("destination", lambda text: {"destination": text}),
        ("reference", lambda text: {"reference": text}),
        ("key_list", lambda text: {"key_list": text}),
        ("result.guide", lambda text: {"result": {"guide": text}}),
        ("result.degradation.mask", lambda text: {"result": {"degradation": {"task": "inpaint", "mask": text}}}),
        ("result.degradation.masks", lambda text: {"result": {"degradation": {"task": "old-photo", "masks": text}}}),
        (
            "result.degradation.kernel_file",
            lambda text: {"result": {"degradation": {"task": "deblur", "blur": "file", "kernel_file": text}}},
        ),
    ],
)
def test_an_empty_place_is_not_the_current_folder(place, settings_of, empty) -> None:
    with pytest.raises(ValidationError) as caught:
        RestoreJob.model_validate({"source": "a", "destination": "b", **settings_of(empty)})
    assert re.fullmatch(rf"{place} *: is empty: name a place; the current folder is \.", in_words(caught.value))


def test_a_mask_is_part_of_the_jobs_name_and_kept_beside_its_manifest(settings, tmp_path) -> None:
    ids = set()
    for left in (3, 5):
        mask = np.zeros((16, 16), np.uint8)
        mask[2:9, left:12] = 255
        Image.fromarray(mask).save(tmp_path / "mask.png")
        job = open_job(changed(settings, degradation={"task": "inpaint", "mask": str(tmp_path / "mask.png")}))
        stored = tmp_path / "destination" / job.layout.file()
        assert np.array_equal(np.asarray(Image.open(stored).convert("L")) > 127, mask > 0)
        ids.add(job.id)
    assert len(ids) == 2


def test_a_summary_of_no_such_job_names_those_that_there_are(settings) -> None:
    job = open_job(settings)
    with pytest.raises(ConfigurationError, match=job.id):
        summarise(settings.destination, "0" * 16)


def test_the_settings_choose_the_executor(settings) -> None:
    from pipeline.execution.ray.executor import RayExecutor

    assert executor_of(settings.runtime) == LocalExecutor(attempts=3)
    runtime = settings.runtime.model_copy(update={"executor": "ray", "actors": 2, "attempts": 1, "ray_address": "auto"})
    assert executor_of(runtime) == RayExecutor(runtime)
