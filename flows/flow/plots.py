"""Pictures of convergence, as SVG in a few lines: no library, no script, readable without colour."""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 36
SMALLEST = 1e-12


def by_round(histories: Sequence[Sequence[float]], worst: Sequence[float]) -> list[tuple[float, float]]:
    """Return the median and the largest residual after each round, over images.

    An image with fewer rounds than others keeps its last residual.

    Args:
        histories: Residuals of an image after each of its rounds, of all images or of some.
        worst: The largest of all images after each round.
    """
    known = [history for history in histories if history]
    after = ([history[min(k, len(history) - 1)] for history in known] for k in range(len(worst)))
    return [(statistics.median(each), largest) for each, largest in zip(after, worst, strict=True)]


def convergence(values: Sequence[tuple[float, float]], *, tolerance: float) -> str:
    """Return an SVG of residuals over rounds: the median a line, the largest dashed, the tolerance dotted.

    Args:
        values: Median and largest residual after each round, at least two.
        tolerance: Where a solve stops; 0 where it does not.
    """
    shown = [value for pair in values for value in pair] + ([tolerance] if tolerance else [])
    logs = [math.log10(max(value, SMALLEST)) for value in shown if math.isfinite(value)]
    low, high = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)

    def x(number: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * number / (len(values) - 1)

    def y(value: float) -> float:
        log = math.log10(max(value, SMALLEST)) if math.isfinite(value) else high
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - log) / (high - low)

    def line(column: int, dash: str) -> str:
        points = " ".join(f"{x(k):.1f},{y(pair[column]):.1f}" for k, pair in enumerate(values))
        return f'<polyline points="{points}" fill="none" stroke="#1f4e79" stroke-width="2" stroke-dasharray="{dash}"/>'

    decades = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(10.0**k):.1f}" y2="{y(10.0**k):.1f}" stroke="#ccc"/>'
        f'<text x="{LEFT - 6}" y="{y(10.0**k) + 4:.1f}" text-anchor="end">1e{k}</text>'
        for k in range(low, high + 1)
    )
    stop = (
        f'<path d="M{LEFT} {y(tolerance):.1f}H{WIDTH - RIGHT}" stroke="#a33" stroke-dasharray="2 4"/>'
        if tolerance
        else ""
    )
    title = escape(f"largest relative residual of the states after each of {len(values)} rounds")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><title>{title}</title><rect width="100%" height="100%" fill="#fff"/>'
        f"{decades}{stop}{line(0, '')}{line(1, '6 4')}"
        f'<text x="{LEFT}" y="{HEIGHT - 10}">round 1</text>'
        f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2:.0f})">relative residual</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">round {len(values)}</text></svg>'
    )


def data_uri(kind: str, data: bytes) -> str:
    """Return a picture as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
