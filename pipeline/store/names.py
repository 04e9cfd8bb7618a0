"""Keys that can be created in any store."""

from __future__ import annotations

from pipeline.errors import UnsafeKeyError


def parts_of(key: str, /) -> tuple[str, ...] | None:
    """Return the parts of a key with a single meaning below any root; None for every other key."""
    parts = tuple(key.split("/"))
    return None if "\0" in key or any(part in ("", ".", "..") for part in parts) else parts


def parts_of_new(key: str, /) -> tuple[str, ...]:
    """Return the parts of a new key.

    Raises:
        UnsafeKeyError: The key would leave the root, or mean another place in another store.
    """
    parts = parts_of(key)
    if parts is None:
        raise UnsafeKeyError(
            f"{key!r} cannot be written: a key needs parts between single slashes, none of them empty, "
            "'.' or '..', and no NUL; rename the source object"
        )
    return parts
