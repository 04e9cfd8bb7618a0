"""Diffusion networks in diffusers' format as priors."""

from __future__ import annotations

from torch import Tensor, nn

from deqir.schedule import NoiseSchedule
from deqir.shapes import Float


class UNetPrior:
    """A noise-predicting UNet2DModel with the schedule it was trained on, as a `Denoiser`.

    Levels between two timesteps are given to the network as a real-valued timestep. Where the network also
    predicts variances (learned sigma), those channels are dropped.

    Args:
        network: Called as diffusers calls it: network(x, timestep).sample.
        schedule: Levels of the timesteps; t = 1 is the network's timestep 0.
    """

    def __init__(self, network: nn.Module, schedule: NoiseSchedule) -> None:
        self.network = network
        self.schedule = schedule

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        timestep = self.schedule.t_of(alpha_bar).to(x_t) - 1
        output: Tensor = self.network(x_t, timestep).sample
        return output[:, : x_t.shape[1]]
