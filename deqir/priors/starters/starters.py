"""The starter networks of a prior: they enlarge, fill gaps and colour, and chains start from their images."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from deqir.operators import Colorization, Composition, Inpainting
from deqir.operators.composition import in_order, masks_in
from deqir.protocols import LinearOperator
from deqir.sampling.noise import GREY
from deqir.shapes import Float

from .colorizing import Colorizer
from .eight_bit_weights import unpacked
from .enlarging import MOST_NOISE, Enlargers, enlargement_of
from .filling import Filler

NAMES: Final = ("enlargers", "filler", "colorizer")
"""First parts of the names of their weights in a prior's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skills:
    """The tasks of a prior's starter networks.

    Attributes:
        enlarges: Scales of super-resolution.
        dense: Scales among them with a `DenseEnlarger`, which is larger and better.
        fills: Inpainting.
        colorizes: Colorization.
    """

    enlarges: Sequence[int] = ()
    dense: Sequence[int] = ()
    fills: bool = False
    colorizes: bool = False

    def makes_start(self, A: LinearOperator) -> bool:
        """Return True if the networks make starts for A."""
        return bool(self.undone(A))

    def undone(self, A: LinearOperator) -> Sequence[LinearOperator]:
        """Return the parts of A in the order of undoing them, last to first; an empty list if a part is unknown.

        A mask has to be undone before all other parts: images pooled or greyed with gaps in them, or masked twice,
        are not handled.
        """
        parts = in_order(A.parts)[::-1] if isinstance(A, Composition) else [A]
        masks = len(masks_in(A))
        leading = masks < 2 and all(isinstance(part, Inpainting) for part in parts[:masks])
        return parts if leading and parts and all(self._knows(part) for part in parts) else []

    def _knows(self, part: LinearOperator) -> bool:
        if isinstance(part, Inpainting):
            return self.fills and part.keep.ndim == 2
        if isinstance(part, Colorization):
            return self.colorizes
        shrunk = enlargement_of(part)
        return shrunk is not None and shrunk.scale in self.enlarges


class Starters(nn.Module):
    """The starter networks of a prior."""

    def __init__(self, skills: Skills) -> None:
        super().__init__()
        self.skills = skills
        self.enlargers = Enlargers(skills.enlarges, dense=skills.dense) if skills.enlarges else None
        self.filler = Filler() if skills.fills else None
        self.colorizer = Colorizer() if skills.colorizes else None

    def make_start(
        self, A: LinearOperator, y: Float[Tensor, "B c h w"], sigma_y: float
    ) -> Float[Tensor, "B C H W"] | None:
        """Return the networks' start for y, on y's device; None if no network is for A.

        Args:
            y: Images in [-1, 1], grey or in colour.
            sigma_y: Standard deviation of y's noise, images in [-1, 1]; white and different in each channel.

        Raises:
            ValueError: y has neither one channel nor three.
        """
        parts = self.skills.undone(A)
        if parts and y.shape[1] not in (1, 3):
            raise ValueError(f"the starter networks take images in grey or colour, got {y.shape[1]} channels")
        x, noise = y, sigma_y * (GREY if y.shape[1] == 1 else 1)
        for part in parts:
            if isinstance(part, Inpainting) and self.filler is not None:
                x, noise = self.filler.make_start(x, part.keep, noise), 0.0
            elif isinstance(part, Colorization) and self.colorizer is not None:
                x, noise = self.colorizer.make_start(self._without(noise, x), part.weights), 0.0
            elif self.enlargers is not None:
                if noise / 2 > MOST_NOISE and self.filler is not None:  # more than in its training: halve the noise
                    x, noise = (x + self._without(noise, x)) / 2, noise / 2
                x, noise = self.enlargers.make_start(part, x, noise), 0.0
        return x if parts else None

    def _without(self, noise: float, x: Tensor) -> Tensor:
        """Return an image denoised by the filler, or unchanged if there is none."""
        if not noise or self.filler is None:
            return x
        return self.filler.make_start(x, x.new_ones(x.shape[-2:], dtype=torch.bool), noise)


def take_starters(weights: MutableMapping[str, Tensor], skills: Skills) -> Starters | None:
    """Return a prior's starter networks; None if it has none.

    Args:
        weights: Weights of the prior; the networks' weights are removed from it.
        skills: Tasks named on its card.

    Raises:
        RuntimeError: The weights belong to other networks.
    """
    own = {name: weights.pop(name) for name in list(weights) if name.partition(".")[0] in NAMES}
    if not own and skills == Skills():
        return None
    with torch.device("meta"):  # drawing initial weights takes longer than reading the file
        networks = Starters(skills)
    networks.load_state_dict({name: weight.float() for name, weight in unpacked(own).items()}, assign=True)
    networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return networks
