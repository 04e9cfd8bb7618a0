"""Diffusion networks in diffusers' format as priors."""

from __future__ import annotations

from torch import Tensor, nn

from deqir.sampling.schedule import NoiseSchedule
from deqir.shapes import Float

from .directory import Prediction


class UNetPrior:
    """A UNet2DModel with its training schedule, as a `Denoiser`.

    Levels between two timesteps are given to the network as a real-valued timestep. Channels of predicted variances
    (learned sigma) are dropped.

    Args:
        network: Called as in diffusers: network(x, timestep).sample.
        schedule: Levels of the timesteps; t = 1 is the network's timestep 0.
        prediction: Output of the network: eps ("epsilon"), x_0 ("sample"), or
            v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 ("v_prediction").
        timestep_scale: Factor on the timesteps given to the network.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        *,
        prediction: Prediction = "epsilon",
        timestep_scale: float = 1.0,
    ) -> None:
        self.network = network
        self.schedule = schedule
        self.prediction = prediction
        self.timestep_scale = timestep_scale

    def __call__(self, x_t: Float[Tensor, "N C H W"], alpha_bar: Float[Tensor, " N"], /) -> Float[Tensor, "N C H W"]:
        timestep = (self.schedule.t_of(alpha_bar) - 1) * self.timestep_scale
        output: Tensor = self.network(x_t, timestep.to(x_t)).sample[:, : x_t.shape[1]]
        if self.prediction == "epsilon":
            return output
        a = alpha_bar.to(x_t)[:, None, None, None]
        if self.prediction == "sample":
            return (x_t - a.sqrt() * output) / (1 - a).sqrt()
        return a.sqrt() * output + (1 - a).sqrt() * x_t
