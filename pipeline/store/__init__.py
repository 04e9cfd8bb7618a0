"""Where objects live: the four verbs, and the folder and the S3 bucket behind them."""

from __future__ import annotations

from .protocol import ObjectInfo, Store

__all__ = ["ObjectInfo", "Store"]
