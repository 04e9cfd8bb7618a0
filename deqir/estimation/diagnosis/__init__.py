"""Diagnosis of an image of which nothing is known."""

from __future__ import annotations

from .diagnose import Diagnosis, diagnose, quality_of
from .upscaling import UpscalingEstimate, estimate_upscaling

__all__ = ["Diagnosis", "UpscalingEstimate", "diagnose", "estimate_upscaling", "quality_of"]
