"""Network calls on parts of an image, for images too large for the memory."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from deqir.shapes import Float


def in_parts(
    network: Callable[[Tensor], Tensor], y: Float[Tensor, "B C h w"], *, scale: int, side: int, margin: int
) -> Float[Tensor, "B D H W"]:
    """Return the output of a network for images, computed square by square.

    Args:
        network: Makes images `scale` times as high and wide.
        side: Side of the squares, in pixels of y.
        margin: Pixels of y given to the network beyond each side of a square; if the network looks no further, the
            result equals the output for whole images.

    Returns:
        The enlarged images, on y's device: the network's device need not hold them beside its work.
    """
    batch, _, height, width = y.shape
    image: Tensor | None = None
    for top in range(0, height, side):
        for left in range(0, width, side):
            above, before = min(top, margin), min(left, margin)
            seen = network(y[..., top - above : top + side + margin, left - before : left + side + margin])
            down, right = scale * above, scale * before
            part = seen[..., down : down + scale * side, right : right + scale * side]
            if image is None:
                image = y.new_empty(batch, part.shape[1], scale * height, scale * width)
            image[..., scale * top : scale * (top + side), scale * left : scale * (left + side)] = part
    assert image is not None
    return image
