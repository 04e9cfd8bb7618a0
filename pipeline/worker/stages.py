"""The stages of an image in its row: their sums, and the agreement of the result with the given image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from deqir import Result
from deqir.operators import FramedDeblurring
from deqir.results import concerns_images, misfit_or_nan
from pipeline.inputs.treatment import Stage
from pipeline.manifest.schema import ManifestRow


def with_solve(row: ManifestRow, done: Sequence[Result[Any]]) -> ManifestRow:
    """Return a row with one stage more: counts and times are sums over the stages, the rest is of the last stage.

    Args:
        row: The row after the stages before.
        done: The samples of this stage, the first first.
    """
    first = done[0]
    stats = first.stats
    return replace(
        row,
        steps=first.steps,
        start_noise=first.start_noise,
        window=max(row.window or 0, stats.window),
        tile=stats.tile,
        nfe=(row.nfe or 0) + sum(result.stats.nfe for result in done),
        rounds=(row.rounds or 0) + stats.rounds,
        converged=stats.converged and row.converged is not False,
        fallback=stats.fallback or row.fallback is True,
        residual_final=stats.residual_final,
        residual_history=list(stats.residual_history),
        frontier_history=list(stats.frontier_history),
        useful=stats.useful,
        solve_seconds=(row.solve_seconds or 0) + sum(result.seconds for result in done),
    )


def agreement(written: Tensor, scene: Tensor, given: Tensor, stages: Sequence[Stage]) -> float:
    """Return ||A x - y|| / ||y|| of the written pixels x, without the gaps of a mask, where A degrades by all stages.

    The result is nan if memory or an operator fails.

    Args:
        written: The pixels as they are stored, shape (3, H, W), in [-1, 1].
        scene: The result as the last operator takes it; it holds what lies beyond the frame.
        given: y, shape (c, h, w), in [-1, 1].
        stages: The stages, the first undone first.
    """
    last = stages[-1].operator
    x = _in_frame(written, scene, last) if isinstance(last, FramedDeblurring) else written
    try:
        for stage in stages[:0:-1]:
            x = stage.operator(x[None])[0]
    except Exception as error:
        if not concerns_images(error):
            raise
        return math.nan
    return misfit_or_nan(stages[0].operator, x, given)


def _in_frame(image: Tensor, scene: Tensor, operator: FramedDeblurring) -> Tensor:
    """Return a scene with an image in place of its part inside the frame."""
    height, width = scene.shape[-2:]
    places = operator.framed(torch.arange(height * width, dtype=torch.float64).view(height, width)).flatten().long()
    return scene.flatten(1).index_copy(1, places, image.flatten(1)).view_as(scene)
