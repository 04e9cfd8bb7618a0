"""Names and numbers of the settings, without torch: a command line and a form can be made of them at once."""

from __future__ import annotations

import math
from typing import Final, Literal

METHOD_VERSION: Final = 2
"""Number of the method. Raise it whenever the pixels of any restoration change: new jobs then get other ids.

Jobs begun with an earlier method go on with it, so each method stays available."""

BUNDLED: Final = "bundled"
BUNDLED_LARGE: Final = "bundled-large"
SHIPPED: Final = (BUNDLED, BUNDLED_LARGE)
"""The priors included in this package."""

Mode = Literal["auto", "throughput", "latency", "paper"]
SurrogateName = Literal["eps", "data", "wiener", "secant"]
Favour = Literal["fidelity", "balance", "detail"]


class Defaults:
    """Default settings, chosen from docs/convergence.md; settings of given or made starts from docs/starts.md."""

    STEPS: Final = 20
    ETA: Final = 0.95
    KAPPA: Final = (0.5, 0.9)
    PRIOR_ERROR: Final = 0.5
    END_NOISE: Final = 6 / 255
    GIVEN_NOISE: Final = 16 / 255
    MADE_NOISE: Final = 5 / 255
    MADE_END: Final = 1 / 255
    MADE_STEPS: Final = 3
    TOLERANCE: Final = 5e-3


def check_overlap(tile: int | None, overlap: int | None) -> None:
    """Raise ValueError if the overlap is impossible, for this tile or for any tile."""
    if overlap is not None and not 0 <= overlap <= (math.inf if tile is None else tile / 2):
        most = "0 or more" if tile is None else f"0 to {tile // 2}, half of a tile of {tile} pixels"
        raise ValueError(f"overlap must be {most}, got {overlap}")
