"""A diffusers network as a prior, against diffusers' own schedulers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

from deqir import Chain, NoiseSchedule, Prior, PriorError, load_prior
from deqir.operators import Inpainting
from deqir.priors import UNetPrior
from deqir.sampling.noise import chain_noise
from deqir.sampling.sampler import Sampler
from tests.deqir.problems import rand
from tests.deqir.unets import Watched, save_as_prior, small_unet


@pytest.fixture(params=[3, 6], ids=["eps", "learned sigma"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[UNet2DModel, Path]:
    """A network and the directory into which diffusers saved it."""
    network = small_unet(out_channels=request.param)
    save_as_prior(network, tmp_path)
    return network, tmp_path


@torch.no_grad()
@pytest.mark.parametrize("t", [0, 1, 250, 998, 999])
def test_a_level_of_diffusers_schedule_reaches_the_network_as_its_timestep(written, t) -> None:
    """Two thirds of a timestep would already change the answer by more than the tolerance."""
    network, directory = written
    prior = load_prior(str(directory), device="cpu")
    x = rand(2, 3, 8, 8).float()
    level = DDPMScheduler().alphas_cumprod[t].double().expand(2)
    torch.testing.assert_close(prior(x, level), network(x, t).sample[:, :3], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("t", [0, 1, 250, 998, 999])
def test_the_timestep_counts_from_the_first_noisy_level(t) -> None:
    """diffusers computes its levels in float32, which moves a timestep by less than 0.02."""
    watched = Watched(small_unet())
    level = DDPMScheduler().alphas_cumprod[t].double()
    UNetPrior(watched, NoiseSchedule.linear())(rand(1, 3, 8, 8).float(), level[None])
    assert float(watched.seen[0]) == pytest.approx(t, abs=0.02)


@torch.no_grad()
def test_a_deterministic_step_is_ddims_where_the_operator_sees_nothing(written) -> None:
    """With eta = 0, away from the known pixels, a null-space step is DDIM's on the same levels."""
    network, directory = written
    scheduler = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(10)
    keep = torch.zeros(8, 8, dtype=torch.bool)
    keep[0, 0] = True
    A, chain = Inpainting(keep=keep), Chain.from_schedule(NoiseSchedule.linear(), steps=10, eta=0.0)
    image = torch.zeros(1, 3, 8, 8)
    noise = chain_noise([1], (3, 8, 8), 10, dtype=torch.float32, device=torch.device("cpu"))
    sampler = Sampler(
        denoiser=load_prior(str(directory), device="cpu"), A=A, chain=chain, pinv_y=image, start=image, noise=noise
    )
    x = rand(1, 3, 8, 8, seed=2).float()
    for i, t in enumerate(scheduler.timesteps):
        wanted = scheduler.step(network(x, t).sample[:, :3], t, x).prev_sample
        found = sampler.step(x[:, None], sampler.x0_hat(x[:, None], i), i)[:, 0]
        torch.testing.assert_close(found[..., ~keep], wanted[..., ~keep], rtol=2e-3, atol=2e-3)


def test_sides_that_the_network_cannot_halve_are_padded(written) -> None:
    prior: Prior = load_prior(str(written[1]), device="cpu")
    assert prior.multiple == 2
    with torch.no_grad():
        assert prior(rand(1, 3, 9, 11).float(), torch.tensor([0.5], dtype=torch.float64)).shape == (1, 3, 9, 11)


def test_a_unet_whose_files_do_not_belong_together_is_refused(tmp_path) -> None:
    save_as_prior(small_unet(), tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"out_channels": 3', '"out_channels": 6'))
    with pytest.raises(PriorError, match=r"size mismatch for conv_out\.weight"):
        load_prior(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(PriorError, match=r"do not fit its config\.json"):
        load_prior(str(tmp_path))
    (tmp_path / "config.json").unlink()
    with pytest.raises(PriorError, match=r"holds no config\.json of a UNet"):
        load_prior(str(tmp_path))
