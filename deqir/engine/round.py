"""One round: the network at all due states of images of one shape, then the scan of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deqir.protocols import Denoiser
from deqir.sampling.step import Step
from deqir.shapes import Float

from .image_state import ImageState
from .requests import Tally


class _Turn(NamedTuple):
    """An image's part of a round: its due states and their predicted noise."""

    image: ImageState[Any]
    x: Float[Tensor, "K C H W"]
    eps: Float[Tensor, "K C H W"]


def run_round(denoiser: Denoiser, images: Sequence[ImageState[Any]], *, window: int, batch: int, tally: Tally) -> None:
    """Take each image one round further; waits for the device once, for the residuals of all images.

    Nothing is sent to the device. An operator whose A^+ is an iteration waits for the device on its own account.

    Args:
        images: Images of one shape.
        window: States of each image to solve together.
        batch: Most evaluations in one call.

    Raises:
        MemoryError, RuntimeError: Memory ran out; the images are as before.
    """
    states = [image.due(window) for image in images]
    levels = [
        image.sampler.chain.levels(image.frontier, len(x), x.device) for image, x in zip(images, states, strict=True)
    ]
    eps = _predicted(denoiser, _joined(states), _joined(levels), batch, tally)
    turns = [_Turn(*turn) for turn in zip(images, states, torch.split(eps, [len(x) for x in states]), strict=True)]
    by_kind = dict[tuple[int, int, bool], list[_Turn]]()
    for turn in turns:
        if not turn.image.guesses:
            sampler = turn.image.sampler
            by_kind.setdefault((id(sampler.A), id(sampler.chain), sampler.sigma_y is None), []).append(turn)
    for alike in by_kind.values():
        _step(alike)
    moved = [turn.image.carry(turn.eps) if turn.image.guesses else turn.image.still for turn in turns]
    residuals = iter(_joined(moved).tolist())
    for image, x, _ in turns:
        image.settle([next(residuals) for _ in range(len(x))])
    tally.rounds += 1


def _predicted(denoiser: Denoiser, x: Tensor, levels: Tensor, batch: int, tally: Tally) -> Float[Tensor, "N C H W"]:
    """Return the predicted noise, from at most `batch` evaluations a call."""
    answers = list[Tensor]()
    for rows, level in zip(torch.split(x, batch), torch.split(levels, batch), strict=True):
        answers.append(denoiser(rows, level))
        tally.count(len(rows), batch=batch)
    return _joined(answers)


def _step(turns: Sequence[_Turn]) -> None:
    """Take one step (4) to (6) of images of one operator and one chain, each at its own position."""
    samplers, at = [turn.image.sampler for turn in turns], [turn.image.frontier for turn in turns]
    x, eps = _joined([turn.x for turn in turns]), _joined([turn.eps for turn in turns])
    noises = [sampler.sigma_y for sampler in samplers if sampler.sigma_y is not None]
    step = Step.at(samplers[0].chain, at, A=samplers[0].A, sigma_y=torch.cat(noises) if noises else None, like=x)
    pinv_y = _joined([sampler.pinv_y for sampler in samplers])
    z = _joined([sampler.noise[:, i + 1] for sampler, i in zip(samplers, at, strict=True)])
    states = step(step.x0_hat(x, eps), eps, pinv_y=pinv_y, z=z)
    still = (states - states).flatten(1).sum(1)
    for turn, state, finite in zip(turns, torch.split(states, 1), torch.split(still, 1), strict=True):
        turn.image.step_to(state, finite)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors; a single tensor is returned as it is, as its copy would cost a percent at batches of 1."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
