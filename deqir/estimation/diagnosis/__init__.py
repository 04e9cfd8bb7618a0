"""Diagnosis of an image of which nothing is known."""

from __future__ import annotations

from .diagnose import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
