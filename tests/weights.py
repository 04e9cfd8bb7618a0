"""Marks for tests that need weights which are fetched."""

from __future__ import annotations

from typing import Final

import pytest

from deqir.pretrained.lpips import LPIPS_WEIGHTS
from deqir.pretrained.real_esrgan import REAL_ESRGAN_WEIGHTS
from deqir.priors import prior_directory

needs_ffdnet: Final = pytest.mark.skipif(
    not (prior_directory("ffdnet") / "deqir.json").exists(), reason="needs FFDNet; run: deqir models fetch ffdnet"
)
needs_lpips: Final = pytest.mark.skipif(
    not LPIPS_WEIGHTS.path.exists(), reason="needs the weights of LPIPS; run: deqir models fetch lpips"
)
needs_real_esrgan: Final = pytest.mark.skipif(
    not REAL_ESRGAN_WEIGHTS.path.exists(), reason="needs its weights; run: deqir models fetch real-esrgan"
)
