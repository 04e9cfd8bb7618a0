"""Directories written by diffusers as priors: whole pipelines, old names, other schedules and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from torch import Tensor

from deqir import NoiseSchedule, PriorError, load_prior
from deqir.priors import Facts, UNetPrior, import_prior, read_card
from tests.deqir.problems import rand
from tests.deqir.unets import WEIGHTS, Watched, small_unet


def assert_same(directory: Path, network: UNet2DModel) -> None:
    denoiser: Any = load_prior(str(directory), device="cpu").denoiser
    x, t = rand(2, 3, 8, 8).float(), torch.tensor([3.0, 600.0])
    with torch.no_grad():
        torch.testing.assert_close(denoiser.network(x, t).sample, network(x, t).sample)


@pytest.mark.parametrize("where", ["", "unet"], ids=["network", "pipeline"])
def test_a_directory_is_imported_with_its_schedule(tmp_path, where) -> None:
    network = small_unet(attention=True, out_channels=6)
    network.save_pretrained(tmp_path / "theirs" / where)
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", num_train_timesteps=500)
    scheduler.save_pretrained(tmp_path / "theirs" / ("scheduler" if where else ""))
    found = import_prior(tmp_path / "theirs", name=f"{tmp_path}/mine", licence="Apache-2.0")
    assert (found.kind, found.assumed) == ("diffusers", ())
    card = read_card(found.directory)
    assert (card.schedule, card.train_steps, card.native_size, card.licence) == ("cosine", 500, 8, "Apache-2.0")
    assert card.source == "diffusers, directory theirs"
    assert_same(found.directory, network)


def test_without_a_scheduler_the_user_is_told_what_is_taken_for_granted(tmp_path) -> None:
    small_unet(attention=True).save_pretrained(tmp_path / "theirs")
    assumed = ("prediction of eps", "noise_schedule linear", "diffusion_steps 1000")
    assert import_prior(tmp_path / "theirs", name=f"{tmp_path}/mine").assumed == assumed
    facts = Facts(noise_schedule="cosine", diffusion_steps=100, image_size=32)
    found = import_prior(tmp_path / "theirs", name=f"{tmp_path}/other", facts=facts)
    assert (found.card.schedule, found.card.train_steps, found.card.native_size) == ("cosine", 100, 32)
    assert load_prior(str(found.directory), device="cpu").native == 32


def test_attention_under_its_names_before_diffusers_0_13_is_found(tmp_path) -> None:
    """As in the published google/ddpm networks, which are also in torch's format."""
    network = small_unet(attention=True)
    network.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / WEIGHTS).unlink()
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = dict[str, Tensor]()
    for key, tensor in network.state_dict().items():
        for new_name, old_name in names.items():
            key = key.replace(f".{new_name}.", f".{old_name}.")
        old[key] = tensor
    assert any(".proj_attn." in key for key in old)
    torch.save(old, tmp_path / "theirs" / "diffusion_pytorch_model.bin")
    assert_same(import_prior(tmp_path / "theirs", name=f"{tmp_path}/mine").directory, network)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_class_embeds": 10}, "which class an image shows"),
        ({"time_embedding_type": "fourier"}, "takes noise levels"),
        ({"_class_name": "UNet2DConditionModel"}, "describes a UNet2DConditionModel"),
        ({"in_channels": 4, "out_channels": 4}, "priors work on pixels"),
        ({"down_block_types": ["NoSuchBlock", "DownBlock2D"]}, "this version of diffusers cannot build the network"),
        ({"layers_per_block": 2}, r"not a whole diffusers network: it lacks \S+, \S+, \S+ and \d+ more"),
    ],
)
def test_a_network_that_is_no_prior_is_refused(tmp_path, changes, says) -> None:
    small_unet(attention=True).save_pretrained(tmp_path / "theirs")
    path = tmp_path / "theirs" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(PriorError, match=says):
        import_prior(tmp_path / "theirs", name=f"{tmp_path}/mine")


def test_a_network_that_loads_but_does_not_compute_leaves_nothing_behind(tmp_path) -> None:
    """Its scales do not fit: an image halved and doubled is larger than before."""
    small_unet(attention=True).save_pretrained(tmp_path / "theirs")
    path = tmp_path / "theirs" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"downsample_padding": 2}))
    with pytest.raises(PriorError, match="theirs is whole, but fails on a small picture"):
        import_prior(tmp_path / "theirs", name=f"{tmp_path}/priors/mine")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_directory_that_is_there_keeps_what_it_holds(tmp_path) -> None:
    network = small_unet(attention=True)
    network.save_pretrained(tmp_path / "theirs")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    found = import_prior(tmp_path / "theirs", name=f"{tmp_path}/mine")
    assert_same(found.directory, network)
    names = sorted(path.name for path in tmp_path.rglob("*") if tmp_path / "theirs" not in path.parents)
    assert names == ["config.json", "deqir.json", WEIGHTS, "mine", "notes.txt", "theirs"]


@pytest.mark.parametrize(
    ("scheduler", "says"),
    [
        ({"_class_name": "ScoreSdeVeScheduler"}, r"\(ScoreSdeVeScheduler\) has a noise schedule unknown to deqir"),
        ({"beta_schedule": "sigmoid"}, "a noise schedule unknown"),
        ({"beta_schedule": "linear", "rescale_betas_zero_snr": True}, "a noise schedule unknown"),
        ({"beta_schedule": "linear", "prediction_type": "score"}, "or v_prediction, got 'score'"),
    ],
)
def test_a_schedule_that_is_not_known_is_refused(tmp_path, scheduler, says) -> None:
    small_unet(attention=True).save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "scheduler_config.json").write_text(json.dumps(scheduler))
    with pytest.raises(PriorError, match=says):
        import_prior(tmp_path / "theirs", name=f"{tmp_path}/mine")


def test_a_directory_without_its_files_is_refused(tmp_path) -> None:
    with pytest.raises(PriorError, match=r"holds no config\.json of a UNet"):
        import_prior(tmp_path, name=f"{tmp_path}/mine")
    small_unet(attention=True).save_pretrained(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(PriorError, match=f"holds none of {WEIGHTS}"):
        import_prior(tmp_path, name=f"{tmp_path}/mine")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(PriorError, match="no JSON object"):
        import_prior(tmp_path, name=f"{tmp_path}/mine")


@pytest.mark.parametrize("steps", [10, 1000])
def test_the_schedules_are_those_of_diffusers(steps) -> None:
    """diffusers computes them in float32: the last levels, products of all, agree to four digits."""
    ours = {
        "linear": NoiseSchedule.linear(steps, beta_start=0.001, beta_end=0.01),
        "scaled_linear": NoiseSchedule.scaled_linear(steps, beta_start=0.001, beta_end=0.01),
        "squaredcos_cap_v2": NoiseSchedule.cosine(steps),
    }
    for name, schedule in ours.items():
        theirs = DDPMScheduler(num_train_timesteps=steps, beta_schedule=name, beta_start=0.001, beta_end=0.01)
        torch.testing.assert_close(schedule.alpha_bar[1:].float(), theirs.alphas_cumprod, rtol=1e-3, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_whatever_a_network_predicts_becomes_eps(tmp_path, prediction) -> None:
    """DDIM's step to the clean image gives the same prediction of it."""
    network, t = small_unet(attention=True), 400
    network.save_pretrained(tmp_path / "theirs")
    scheduler = DDIMScheduler(prediction_type=prediction, clip_sample=False, set_alpha_to_one=True)
    scheduler.save_pretrained(tmp_path / "theirs")
    prior = load_prior(str(import_prior(tmp_path / "theirs", name=f"{tmp_path}/mine").directory), device="cpu")
    scheduler.set_timesteps(1000)
    x = rand(2, 3, 8, 8).float()
    wanted = scheduler.step(network(x, t).sample, t, x).pred_original_sample
    level = scheduler.alphas_cumprod[t].double()
    found = (x - (1 - level).sqrt() * prior(x, level.expand(2))) / level.sqrt()
    torch.testing.assert_close(found.float(), wanted, rtol=1e-3, atol=1e-3)


def test_timesteps_are_scaled_as_the_card_says() -> None:
    watched = Watched(small_unet(attention=True))
    schedule = NoiseSchedule.cosine(4000)
    UNetPrior(watched, schedule, timestep_scale=0.25)(rand(1, 3, 8, 8).float(), schedule.alpha_bar[[2001]])
    assert float(watched.seen[0]) == pytest.approx(500, abs=1e-3)
