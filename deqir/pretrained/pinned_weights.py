"""Weights pinned by this version: one file per network, fetched once and checked whenever it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import nn

from deqir.hardware.devices import device_of

from .download import ModelError, cache_dir, install_file

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedWeights:
    """The weights of one network.

    Attributes:
        name: Name of the network in `deqir models fetch`.
        title: Usual name of the network.
        use: "upscaler": makes images for restorations to start from. "metric": measures.
        sha256: Digest of the weights file, in hex.
        licence, source: Terms and origin of the weights.
        download: Returns the bytes of the weights file, or raises DownloadError.
    """

    name: str
    title: str
    use: Literal["upscaler", "metric"]
    sha256: str
    licence: str
    source: str
    download: Callable[[], bytes]

    @property
    def path(self) -> Path:
        """Path of the file in the user's cache."""
        return cache_dir() / f"{self.use}s" / self.name / "model.safetensors"

    def fetch(self) -> Path:
        """Download the file into the user's cache, unless it is there and whole; returns its directory.

        Raises:
            ModelError: The file in the cache was altered.
            DownloadError: The file could not be downloaded, or the archive was altered.
        """
        if not self.path.exists():
            install_file(self.path, self.download())
        self.read()
        return self.path.parent

    def read(self) -> bytes:
        """Return the bytes of the file after checking them against the pinned digest.

        Raises:
            ModelError: The file is not in the cache, or was altered.
        """
        path, remedy = self.path, f"run: deqir models fetch {self.name}"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.title} is not here ({path}: {error.strerror}); {remedy}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise ModelError(
                f"the weights of {self.title} were altered or cut short: {path} has SHA-256 {found[:16]}..., expected "
                f"{self.sha256[:16]}...; delete it and {remedy}"
            )
        return data

    def load_into(self, network: Network, *, device: str | torch.device) -> Network:
        """Return the network with these weights, fixed, on a device; "auto" is CUDA if there is a GPU, else the CPU.

        Raises:
            ModelError: The weights are not in the cache, or were altered.
        """
        from safetensors.torch import load

        network.load_state_dict(load(self.read()))
        return network.to(device_of(device)).eval().requires_grad_(False)
