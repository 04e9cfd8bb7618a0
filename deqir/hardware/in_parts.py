"""Images through a network part by part, where a whole one would not fit in memory."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from deqir.shapes import Float


def in_parts(
    network: Callable[[Tensor], Tensor], y: Float[Tensor, "B C h w"], *, scale: int, side: int, margin: int
) -> Float[Tensor, "B D H W"]:
    """Return what a network makes of images, which it sees in squares.

    Args:
        network: Makes images `scale` times as high and wide.
        y: The images.
        scale: Of the network.
        side: Of the squares, in pixels of y.
        margin: What it sees of y beyond a square on each side; the result is that of whole images where the network
            looks no further.

    Returns:
        The enlarged images, where y is: a device need not hold them beside its work.
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
