"""Where an actor's network runs, and that a network on several devices restores what it does on one."""

from __future__ import annotations

import pytest
import torch

from pipeline.config import ResultConfig, RuntimeConfig
from pipeline.degradation import Degradation
from pipeline.errors import ConfigurationError
from pipeline.worker.build import devices_of, guidance_of, load_prior
from tests.pipeline.archive import pixels, write_archive
from tests.pipeline.faults import with_denoiser
from tests.pipeline.shard_runs import assert_same_image, run


@pytest.mark.parametrize(
    ("settings", "gpus", "devices"),
    [
        ({}, 0, ["auto"]),
        ({}, 4, ["auto"]),
        ({"gpus_per_actor": 4}, 4, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        ({"gpus_per_actor": 2, "device": "cuda"}, 4, ["cuda:0", "cuda:1"]),
        ({"gpus_per_actor": 4}, 0, ["auto"]),
        ({"gpus_per_actor": 0.5}, 1, ["auto"]),
        ({"gpus_per_actor": 2, "device": "cuda:1", "executor": "local"}, 2, ["cuda:1"]),
        ({"gpus_per_actor": 2, "device": "cpu"}, 2, ["cpu"]),
    ],
)
def test_a_network_runs_on_every_gpu_that_its_actor_has_to_itself(settings, gpus, devices) -> None:
    assert devices_of(RuntimeConfig.model_validate(settings), gpus) == devices


def test_a_gpu_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(ConfigurationError, match=r"`device` cuda needs a GPU with CUDA.*say auto or cpu"):
        devices_of(RuntimeConfig(device="cuda"), 0)
    with pytest.raises(ConfigurationError, match=r"`device` cuda:2 is not there: the last GPU .* cuda:1"):
        devices_of(RuntimeConfig(executor="local", device="cuda:2"), 2)


@pytest.mark.parametrize("mode", ["auto", "throughput"])
def test_a_shard_on_several_devices_gives_the_images_of_one(source, destination, opened, mode) -> None:
    """`auto` fills the devices with several steps of the one image, so that rounds are saved."""
    keys = write_archive(source, 1)
    job, worker, shards = opened(result={"steps": 8, "mode": mode, "tolerance": 1e-3})
    rows = run(worker, shards[0])
    alone = {key: pixels(destination / key) for key in keys}
    for key in keys:
        (destination / key).unlink()
    (destination / job.layout.part(shards[0].id)).unlink()
    spread = load_prior(job.config, job.prior_digest, ["cpu"] * 4)
    again = run(with_denoiser(worker, spread), shards[0])
    assert spread.replicas == 4
    for key in keys:
        assert_same_image(pixels(destination / key), alone[key])
    assert [row.rounds for row in rows] == [8]
    assert (again[0].rounds < 8) == (mode == "auto")


def test_lpips_that_was_not_fetched_is_said_to_be_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    with pytest.raises(ConfigurationError, match="deqir models fetch lpips"):
        guidance_of(
            ResultConfig(degradation=Degradation(task="sr"), optimise=1, guide="guides", guide_by="lpips"),
            torch.device("cpu"),
        )
