"""Estimates of the degradation of an image, and a check of an assumed operator."""

from __future__ import annotations

from .blur import estimate_blur
from .damage import DamageProposal, propose_damage
from .diagnosis import Diagnosis, UpscalingEstimate, diagnose, estimate_upscaling
from .jpeg import JpegEstimate, estimate_jpeg
from .misfit import Misfit, check_fit
from .noise import NoiseEstimate, estimate_noise
from .results import Estimate
from .shrinking import estimate_kernel
from .tone import Tone, tone_of
from .verdict import Verdict, judge

__all__ = [
    "DamageProposal",
    "Diagnosis",
    "Estimate",
    "JpegEstimate",
    "Misfit",
    "NoiseEstimate",
    "Tone",
    "UpscalingEstimate",
    "Verdict",
    "check_fit",
    "diagnose",
    "estimate_blur",
    "estimate_jpeg",
    "estimate_kernel",
    "estimate_noise",
    "estimate_upscaling",
    "judge",
    "propose_damage",
    "tone_of",
]
