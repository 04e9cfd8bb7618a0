"""The flow under its former name, `flows.restore.restore_archive`, for deployments that version 0.1 registered."""

from __future__ import annotations

from .flow.restore_archive import restore_archive

__all__ = ["restore_archive"]
