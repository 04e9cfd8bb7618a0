"""Restorations that start from a guide or are optimised for one, or for a noisy image, by a real worker."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from deqir import Result, Tally
from deqir.gradients.losses import GuideName, guided
from deqir.metrics import psnr
from deqir.operators import Colorization, SuperResolution
from deqir.pretrained.download import install_file
from deqir.pretrained.real_esrgan import REAL_ESRGAN_WEIGHTS, RealEsrgan, load_real_esrgan
from deqir.priors import BUNDLED
from deqir.settings import Defaults
from pipeline.errors import ConfigurationError, GuideError
from pipeline.inputs.guides import Guides
from pipeline.inputs.side_files import Companions
from pipeline.manifest.schema import ManifestRow
from pipeline.worker.read import Prepared
from pipeline.worker.solve import Work
from pipeline.worker.worker import ShardWorker
from tests.deqir.problems import Counting
from tests.pipeline.archive import image_bytes, put, write_archive
from tests.pipeline.faults import with_denoiser
from tests.pipeline.files import saved
from tests.pipeline.shard_runs import rows_of, run
from tests.weights import needs_real_esrgan

SIZE = (24, 16)
REDDISH = saved(Image.new("RGB", (6, 4), (200, 90, 90)))


def values(path: Path) -> Tensor:
    """The pixels of a file as a batch of one in [-1, 1]."""
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None] / 127.5 - 1


def guided_rows(opened: Callable[..., Any], **result: Any) -> list[ManifestRow]:
    _, worker, shards = opened(degradation={"task": "colorize"}, result=result)
    return run(worker, shards[0])


def test_a_guides_colours_come_through(opened, source, destination, tmp_path) -> None:
    """Nearer to a small red picture in colour, and its grey still explained; an image without guide fails alone."""
    keys = write_archive(source, 2, size=SIZE, mode="L")
    guides = tmp_path / "guides"
    put(guides, keys[0], REDDISH)
    first, second = guided_rows(opened, optimise=8, guide=str(guides), guide_by="colour", start_noise=0.29)
    assert (first.status, second.status, second.error_type) == ("restored", "failed", "GuideError")
    assert first.loss_first is not None
    assert first.loss_best is not None
    assert first.loss_best < first.loss_first
    assert first.nfe is not None
    assert first.nfe > 3 * 8
    found = np.asarray(Image.open(destination / keys[0])).astype(float)
    grey = np.asarray(Image.open(source / keys[0]).convert("L")).astype(float)
    assert np.abs(found @ np.array([0.299, 0.587, 0.114]) - grey).max() <= 1.5


def test_a_guide_of_another_size_is_refused_where_pixels_are_compared(opened, source, tmp_path) -> None:
    (key,) = write_archive(source, 1, size=SIZE, mode="L")
    guides = tmp_path / "guides"
    put(guides, key, REDDISH)
    (row,) = guided_rows(opened, optimise=1, guide=str(guides))
    assert row.error_type == "GuideError"
    assert str(row.error).endswith(
        f"/guides/{key} has 6 x 4 pixels, the restored image 24 x 16; guide by colour, or bring it to that size"
    )


def test_an_image_too_small_for_lpips_is_refused_before_it_is_restored(tmp_path) -> None:
    put(tmp_path, "small.png", b"never read")
    with pytest.raises(GuideError, match="31 pixels a side, the restored one has 64 x 30; guide by pixels"):
        fitted(guides_in(tmp_path, by="lpips"), "small.jpg", height=30, width=64)


def test_sources_that_differ_in_their_extension_have_guides_of_their_own(tmp_path) -> None:
    """As `deqir restore` and `deqir estimate --masks` name what they write; what is no image does not count."""
    for name, grey in (("photo.jpg.png", 0), ("photo.png.png", 255), ("other.png", 128)):
        Image.new("L", (2, 2), grey).save(tmp_path / name)
    put(tmp_path, "other.json", b"{}")
    guides = guides_in(tmp_path, by="pixels")
    for key, value in (("photo.jpg", -1), ("photo.png", 1), ("other.webp", 1 / 255)):
        assert fitted(guides, key, height=2, width=2).unique().tolist() == pytest.approx([value], abs=1e-6)


def guides_in(folder: Path, *, by: GuideName) -> Guides:
    files = Companions.open(str(folder), name="guide", fault=GuideError, max_bytes=10**6)
    return Guides(files=files, by=by, max_pixels=10**6)


def fitted(guides: Guides, source_key: str, *, height: int, width: int) -> Tensor:
    return guides.fitted(guides.files.of(source_key), height=height, width=width)


def test_a_noisy_image_is_optimised_for_what_it_says(opened, source) -> None:
    write_archive(source, 1, size=SIZE)
    _, worker, shards = opened(degradation={"task": "denoise"}, result={"optimise": 3, "noise": 0.02})
    (row,) = run(worker, shards[0])
    assert row.status == "restored"
    assert row.loss_best is not None
    assert row.loss_best <= row.loss_first


def test_a_report_counts_what_optimising_cost(opened, source) -> None:
    """Evaluations in calls that really came to the network, one state each, in time that was really spent on them."""
    write_archive(source, 2, size=SIZE)
    result = {"optimise": 2, "noise": 0.02, "samples": 2}
    _, worker, shards = opened(degradation={"task": "denoise"}, result=result, runtime={"batch_size": 2})
    counting = Counting(worker.solver.engine.prior)
    report = with_denoiser(worker, counting).run(shards[0], lambda status: None)
    rows, calls = rows_of(worker, shards[0]), counting.rows
    assert len(calls) == report.network_calls > 2 * 2 * 2 * 3
    assert report.occupancy == pytest.approx(sum(calls) / (2 * len(calls)))
    assert sum(calls) < report.nfe == sum(row.nfe or 0 for row in rows)  # products of vectors and Jacobians count, too
    assert report.solve_seconds == pytest.approx(sum(row.solve_seconds or 0 for row in rows), rel=0.1)
    assert report.evaluations_per_second == pytest.approx(report.nfe / report.solve_seconds)


def test_a_framed_blur_is_optimised_only_where_images_are_noisy(opened, source) -> None:
    write_archive(source, 1, size=SIZE)
    motion = {"task": "deblur", "blur": "motion", "width": 5}
    with pytest.raises(ValidationError, match="only where the images are noisy"):
        opened(degradation=motion, result={"optimise": 1, "guide": "g"})
    _, worker, shards = opened(degradation=motion, result={"optimise": 1, "noise": 0.02})
    assert [row.status for row in run(worker, shards[0])] == ["restored"]


def test_restorations_start_from_guides_and_agree_with_their_sources(opened, source, destination, tmp_path) -> None:
    """With hardly any noise what comes out is the guide's, but for the means of blocks, which are the source's."""
    (key,) = write_archive(source, 1, size=SIZE)
    guides, (width, height) = tmp_path / "guides", SIZE
    put(guides, key, b"")
    guide = np.random.default_rng(0).integers(96, 160, (4 * height, 4 * width, 3)).astype(np.uint8)
    Image.fromarray(guide).save(guides / key)
    _, worker, shards = opened(
        degradation={"task": "sr", "scale": 4}, result={"guide": str(guides), "steps": 1, "start_noise": 0.001}
    )
    (row,) = run(with_denoiser(worker, lambda x, alpha_bar: torch.zeros_like(x)), shards[0])
    assert (row.status, row.nfe, row.loss_best) == ("restored", 1, None)
    found = np.asarray(Image.open(destination / key)).astype(float)
    blocks = found.reshape(height, 4, width, 4, 3).mean((1, 3))
    assert np.abs(blocks - np.asarray(Image.open(source / key)).astype(float)).max() < 1
    details = [
        image - image.reshape(height, 4, width, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1) for image in (found, guide)
    ]
    assert np.corrcoef(details[0].ravel(), details[1].ravel())[0, 1] > 0.9


def test_a_guide_for_colours_alone_may_be_small_and_is_started_from_with_the_tasks_own_noise(
    opened, source, destination, tmp_path
) -> None:
    (key,) = write_archive(source, 1, size=SIZE, mode="L")
    guides = tmp_path / "guides"
    put(guides, key, REDDISH)
    _, worker, _ = opened(degradation={"task": "colorize"}, result={"guide": str(guides), "guide_by": "colour"})
    assert worker.facts.start_noise == Colorization().start_noise
    _, worker, shards = opened(
        degradation={"task": "colorize"},
        result={"guide": str(guides), "guide_by": "colour", "steps": 1, "start_noise": 0.001},
    )
    run(with_denoiser(worker, lambda x, alpha_bar: torch.zeros_like(x)), shards[0])
    red, green, blue = np.asarray(Image.open(destination / key)).astype(float).mean((0, 1))
    assert red > 60 + max(green, blue)


def test_a_photograph_of_a_wider_scene_starts_from_a_guide_of_its_own_size(opened, source, tmp_path) -> None:
    (key,) = write_archive(source, 1, size=SIZE)
    guides = tmp_path / "guides"
    put(guides, key, (source / key).read_bytes())
    motion = {"task": "deblur", "blur": "motion", "width": 5}
    _, worker, shards = opened(degradation=motion, result={"guide": str(guides)})
    (row,) = run(worker, shards[0])
    assert (row.status, row.start_noise) == ("restored", pytest.approx(Defaults.GIVEN_NOISE))


@needs_real_esrgan
def test_a_network_makes_the_guides(opened, source, destination) -> None:
    """With hardly any noise the result is nearer to what it makes of the source than interpolation is."""
    (key,) = write_archive(source, 1, size=SIZE)
    y = values(source / key)
    sharp = load_real_esrgan(device="cpu").enlarged(y, (4 * SIZE[1], 4 * SIZE[0]))[0]
    _, worker, shards = opened(
        degradation={"task": "sr", "scale": 4}, result={"guide": "real-esrgan", "steps": 1, "start_noise": 0.001}
    )
    (row,) = run(with_denoiser(worker, lambda x, alpha_bar: torch.zeros_like(x)), shards[0])
    assert row.status == "restored"
    image = values(destination / key)[0]
    start = SuperResolution(scale=4).start(y)[0]
    assert float((image - sharp).square().mean()) < float((start - sharp).square().mean())


def with_small_network(worker: ShardWorker, *, blocks: int = 1) -> ShardWorker:
    """The worker with a network of four channels as its upscaler."""
    torch.manual_seed(0)
    network = RealEsrgan(width=4, growth=2, blocks=blocks).requires_grad_(False)
    return replace(worker, solver=replace(worker.solver, upscaler=network))


@pytest.mark.parametrize("result", [{}, {"samples": 2}, {"optimise": 1, "guide": "guides"}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_made_guides_serve_any_scale_grey_images_samples_and_optimisation(
    opened, source, tmp_path, mode, result
) -> None:
    (key,) = write_archive(source, 1, size=SIZE, mode=mode)
    put(tmp_path / "guides", key, b"never read")
    named = {name: str(tmp_path / value) if name == "guide" else value for name, value in result.items()}
    _, worker, shards = opened(degradation={"task": "sr", "scale": 2}, result=named)
    if "guide" in named:
        worker = replace(worker, guides=None)
    (row,) = run(with_small_network(worker), shards[0])
    assert (row.status, row.width, row.height) == ("restored", 2 * SIZE[0], 2 * SIZE[1])
    assert ("optimise" in result) == (row.loss_best is not None)


def test_a_guide_that_finds_no_memory_fails_its_image_alone(opened, source) -> None:
    keys = write_archive(source, 3, size=SIZE)
    put(source, "album/wide.png", image_bytes(1, size=(3 * SIZE[0], SIZE[1])))
    _, worker, shards = opened()
    worker = with_small_network(worker)
    network = worker.solver.upscaler
    assert network is not None

    def small_machine(module: object, inputs: tuple[Tensor]) -> None:
        if inputs[0].shape[-1] > 2 * SIZE[0]:
            raise MemoryError

    network.register_forward_pre_hook(small_machine)
    rows = {row.source_key: row for row in run(worker, shards[0])}
    assert rows["album/wide.png"].error_type == "OutOfMemoryError"
    assert {rows[key].status for key in keys} == {"restored"}


def test_rows_and_ids_tell_the_network_that_made_the_guides_and_its_time(opened, source, tmp_path, monkeypatch) -> None:
    def pin(data: bytes) -> str:
        install_file(REAL_ESRGAN_WEIGHTS.path, data)
        pinned = replace(REAL_ESRGAN_WEIGHTS, sha256=hashlib.sha256(data).hexdigest())
        monkeypatch.setattr("pipeline.job.checks.REAL_ESRGAN_WEIGHTS", pinned)
        monkeypatch.setattr("pipeline.config.REAL_ESRGAN_SHA256", pinned.sha256)
        return pinned.sha256

    write_archive(source, 1, size=SIZE)
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "pipeline.worker.build.load_real_esrgan", lambda device: RealEsrgan(width=4, growth=2, blocks=1)
    )
    digest = pin(b"one")
    job, worker, shards = opened(result={"guide": "real-esrgan"})
    pin(b"another")
    other, _, _ = opened(result={"guide": "real-esrgan"})
    assert job.id != other.id
    network = worker.solver.upscaler
    assert network is not None
    network.register_forward_pre_hook(lambda module, inputs: time.sleep(0.5))
    (row,) = run(worker, shards[0])
    assert (row.status, row.guide_sha256) == ("restored", digest)
    assert (row.guide, row.guide_by) == ("real-esrgan", "pixels")
    assert row.solve_seconds is not None
    assert row.solve_seconds > 0.5


def interpolated_psnr(source: Path, originals: Path) -> float:
    """Write an image and an original that it is no copy of; returns what interpolation of it has in dB."""
    (key,), (width, height) = write_archive(source, 1, size=SIZE), SIZE
    put(originals, key, b"")
    rough = np.random.default_rng(0).integers(0, 256, (2 * height, 2 * width, 3)).astype(np.uint8)
    Image.fromarray(rough).save(originals / key)
    start = SuperResolution(scale=2).start(values(source / key)).clamp(-1, 1)
    return float(psnr(start, values(originals / key)))


def test_what_is_had_without_a_network_is_measured_whatever_the_guide(opened, source, tmp_path) -> None:
    """The original as guide: the result is near to it, what interpolation gives is as without."""
    originals = tmp_path / "originals"
    plain = interpolated_psnr(source, originals)
    shutil.copytree(originals, tmp_path / "guides")
    _, worker, shards = opened(reference=str(originals), result={"guide": str(tmp_path / "guides")})
    (row,) = run(worker, shards[0])
    assert row.psnr_start == pytest.approx(plain, abs=0.1)


def test_what_a_prior_makes_to_start_from_is_no_measure_of_what_can_be_done_without_a_network(
    opened, source, tmp_path
) -> None:
    """The row's start is interpolation, its steps and noise are those that were taken."""
    originals = tmp_path / "originals"
    plain = interpolated_psnr(source, originals)
    _, worker, shards = opened(reference=str(originals), result={"prior": BUNDLED, "steps": 20})
    (row,) = run(worker, shards[0])
    assert row.psnr_start == pytest.approx(plain, abs=0.1)
    assert (row.steps, row.nfe) == (Defaults.MADE_STEPS, Defaults.MADE_STEPS)
    assert row.start_noise == pytest.approx(Defaults.MADE_NOISE)


def test_the_search_goes_on_from_the_guide(opened, source, tmp_path) -> None:
    """What it begins with is the distance of the restoration that merely starts from the guide."""
    (key,) = write_archive(source, 1, size=SIZE, mode="L")
    guides = tmp_path / "guides"
    put(guides, key, REDDISH)
    result = {"guide": str(guides), "guide_by": "colour"}
    _, worker, shards = opened(degradation={"task": "colorize"}, result=result)
    (prepared,) = [worker._prepare(ref, shard_id="s") for ref in shards[0].images]
    assert isinstance(prepared, Prepared)
    assert prepared.guide is not None
    work = Work(prepared=prepared, row=prepared.row, y=prepared.y)
    ((request,), tally) = worker.solver._requests(work), Tally()
    (plain,) = worker.solver.engine.run([request], tally=tally)
    assert isinstance(plain, Result)
    distance = float(guided("colour", prepared.guide[None])(plain.image[None], torch.zeros(1, dtype=torch.long)))
    _, worker, shards = opened(degradation={"task": "colorize"}, result=result | {"optimise": 2})
    (row,) = run(worker, shards[0])
    assert row.loss_first == pytest.approx(distance, rel=1e-4)


def test_a_network_that_is_not_here_or_has_nothing_to_do_is_refused(
    opened, source, destination, tmp_path, monkeypatch
) -> None:
    write_archive(source, 1, size=SIZE)
    with pytest.raises(ValidationError, match="is for task sr"):
        opened(degradation={"task": "denoise"}, result={"guide": "real-esrgan"})
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path / "nothing"))
    with pytest.raises(ConfigurationError, match="deqir models fetch real-esrgan"):
        opened(result={"guide": "real-esrgan"})
    (tmp_path / "guides").mkdir()
    with pytest.raises(ConfigurationError, match="deqir models fetch lpips"):
        opened(result={"guide": str(tmp_path / "guides"), "guide_by": "lpips", "optimise": 2})
    assert not destination.exists()


@pytest.mark.parametrize(
    ("result", "says"),
    [({"optimise": 3}, "needs a `guide`, or `noise`"), ({"guide": "g", "guide_by": "lpips"}, "needs `optimise`")],
)
def test_what_cannot_be_optimised_is_refused(opened, source, result, says) -> None:
    write_archive(source, 1, size=SIZE)
    with pytest.raises(ValidationError, match=says):
        opened(result=result)
