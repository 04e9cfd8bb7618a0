"""A case: an original, the chain of steps that degraded it, and the command that undoes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from PIL import Image

from .pictures import Pixels, is_photograph, scene_of
from .steps import Format, Step

MARGIN: Final = 32
"""Pixels of the scene beyond the frame, for the blurs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The command for somebody who knows what happened to an image.

    Attributes:
        settings: Of the degradation, its task among them.
        noise: Of the images, as a standard deviation of images in [0, 1]; never JPEG's. None: the task's own.
        drawn: Draws the file of `settings` with this name (mask or kernel_file).
    """

    settings: Mapping[str, Any]
    noise: float | None = None
    drawn: tuple[str, Callable[[], Image.Image]] | None = None

    @property
    def words(self) -> str:
        """The options of the command."""
        options = {name.replace("_", "-"): value for name, value in self.settings.items()}
        if self.noise is not None:
            options["noise"] = f"{self.noise:.3f}"
        if self.drawn is not None:
            options[self.drawn[0].replace("_", "-")] = "FILE"
        return " ".join(f"--{name} {value}" for name, value in options.items())


@dataclass(frozen=True, kw_only=True)
class Case:
    """An image as somebody has it.

    Attributes:
        name: Of the case.
        group: Of the cases with the same kind of damage.
        picture: Name of the original.
        size: Width and height of a photograph.
        grey: The original has no colour.
        chain: Steps in the order in which they happened; optical ones come first.
        kept: Format of the file.
        told: The right command.
        scale: Enlargement asked for; 1: none.
        toned: The tones changed as well. Every image is compared after the best change of contrast and brightness of
            each channel.
        quick: In the quick subset.
    """

    name: str
    group: str
    picture: str
    size: tuple[int, int]
    grey: bool = False
    chain: tuple[Step, ...] = ()
    kept: Format
    told: Told
    scale: int = 1
    toned: bool = False
    quick: bool = field(default=False, compare=False)

    @property
    def photograph(self) -> bool:
        """True if the original is a photograph."""
        return is_photograph(self.picture)

    @property
    def key(self) -> str:
        """Name of the file."""
        return self.name.replace(" ", "_").replace(",", "") + self.kept.ending

    @property
    def words(self) -> str:
        """The whole chain in words."""
        return ", ".join([*(step.name for step in self.chain), self.kept.name])

    @cached_property
    def original(self) -> Pixels:
        """The original, in whole levels."""
        return self._framed(self._scene)

    @cached_property
    def file(self) -> bytes:
        """The bytes of the file; the same on each call."""
        digest = hashlib.sha256(self.name.encode()).digest()
        random, pixels = np.random.default_rng(int.from_bytes(digest[:8], "big")), self._scene
        optical = [step for step in self.chain if step.optical]
        for step in optical:
            pixels = step.apply(pixels, random)
        pixels = self._framed(pixels)
        for step in self.chain[len(optical) :]:
            pixels = step.apply(pixels, random)
        return self.kept.encode(pixels)

    @cached_property
    def _scene(self) -> Pixels:
        return scene_of(self.picture, self.size, margin=MARGIN, grey=self.grey)

    def _framed(self, scene: Pixels) -> Pixels:
        return scene[MARGIN:-MARGIN, MARGIN:-MARGIN] if self.photograph else scene
