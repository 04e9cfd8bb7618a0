"""Several restorations of one image: the data allow many, and pixels in which they differ are uncertain."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deqir.shapes import Float

from .noise import image_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Restorations of one image with different noise.

    Attributes:
        images: Shape (K, C, H, W), K of at least 2, about [-1, 1].

    Raises:
        ValueError: Fewer than 2 images.
    """

    images: Float[Tensor, "K C H W"]

    def __post_init__(self) -> None:
        if len(self.images) < 2:
            raise ValueError(f"samples are told apart by at least 2 images, got {len(self.images)}")

    @property
    def mean(self) -> Float[Tensor, "C H W"]:
        """The mean image: smoother than any sample, and nearer to the original in PSNR."""
        return self.images.mean(0)

    @property
    def spread(self) -> Float[Tensor, "H W"]:
        """Standard deviation of each pixel over the samples, root mean square over the channels, images in [-1, 1].

        Large where the data leave much open. Errors common to all samples do not show.
        """
        return self.images.var(0).mean(0).sqrt()


def sample_seed(seed: int, sample: int) -> int:
    """Return the seed of a further sample from the image's seed; sample 0 has the image's seed itself."""
    return image_seed(seed, f"sample {sample}") if sample else seed
