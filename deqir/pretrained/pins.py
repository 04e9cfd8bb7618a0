"""Names and digests of published networks that a job's settings name; without torch."""

from __future__ import annotations

from typing import Final

REAL_ESRGAN: Final = "real-esrgan"
REAL_ESRGAN_SHA256: Final = "5692c880088642cb655fc4e59185cab60d13cb049e7b6be92f79fc7f363cf0ed"
"""SHA-256 of the weights file."""
