"""Shape annotations: jaxtyping's where it is installed, names without effect where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:

        class _Unchecked:
            def __class_getitem__(cls, item: object) -> object:
                return object

        Bool = Float = Int = _Unchecked

__all__ = ["Bool", "Float", "Int"]
