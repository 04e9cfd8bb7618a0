"""Find the place of every tensor of a checkpoint, or name the tensors without a place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from deqir.priors.prior import PriorError

NAMED: Final = 3
"""Most keys of each sort named in an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The tensor of a checkpoint for a parameter.

    Attributes:
        folded: Trailing dimensions of size 1 in the checkpoint, where a matrix is a 1 x 1 convolution.
        third: 0, 1 or 2 if the checkpoint stacks query, key and value in one tensor.
        groups: Number of consecutive stacks of query, key and value: 1, or the number of heads.
    """

    key: str
    shape: tuple[int, ...]
    folded: int = 0
    third: int | None = None
    groups: int = 1

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The expected shape of the tensor in the checkpoint."""
        rows = self.shape[0] if self.third is None else 3 * self.shape[0]
        return (rows, *self.shape[1:], *(1,) * self.folded)

    def take(self, stored: Tensor) -> Tensor:
        """Return the parameter from the checkpoint's tensor, in float32."""
        if self.third is not None:
            stored = stored.reshape(self.groups, 3, -1)[:, self.third]
        return stored.reshape(self.shape).float()


def gather(tensors: Mapping[str, Tensor], origins: Mapping[str, Origin], *, kind: str) -> dict[str, Tensor]:
    """Return the parameters after checking that each has its tensor and each tensor is used.

    Raises:
        PriorError: Keys are missing or left over, shapes differ, or a tensor is not finite; the text names some.
    """
    needed = {origin.key: origin.stored_shape for origin in origins.values()}
    misshapen = [
        f"{key} ({_text(tensors[key].shape)} instead of {_text(shape)})"
        for key, shape in needed.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    faults = [
        _some("it lacks", [key for key in needed if key not in tensors]),
        _some("of another shape are", misshapen),
        _some("no place is known for", [key for key in tensors if key not in needed]),
        _some("not finite are", [key for key, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]),
    ]
    if any(faults):
        raise PriorError(f"the checkpoint is not a whole {kind} network: {'; '.join(filter(None, faults))}")
    return {name: origin.take(tensors[origin.key]) for name, origin in origins.items()}


def shape_of(tensors: Mapping[str, Tensor], key: str, *, kind: str) -> tuple[int, ...]:
    """Return the shape of a tensor from which the architecture is read.

    Raises:
        PriorError: There is no tensor of this name.
    """
    if key not in tensors:
        raise PriorError(f"the checkpoint is not a whole {kind} network: it lacks {key}")
    return tuple(tensors[key].shape)


def count(tensors: Iterable[str], pattern: str) -> int:
    """Count the names pattern.format(0), pattern.format(1), ... up to the first missing name."""
    names, number = set(tensors), 0
    while pattern.format(number) in names:
        number += 1
    return number


def _some(fault: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return f"{fault} {', '.join(keys[:NAMED])}{more}"


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"
