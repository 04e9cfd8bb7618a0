"""A table of docs/convergence.md: rounds until a parallel solve is within one grey level. python -m benchmarks.reach

Prints, for each chain, the rounds after which the last state is within 1 of 255 (RMS) of the sequential chain's, each
photograph by itself and their median. One thread; about half an hour of it, --quick a few seconds.
"""

from __future__ import annotations

from statistics import median
from typing import Final, NamedTuple

import torch

from deqir.fixed_point.joint_map import JointMap
from deqir.fixed_point.surrogates import Secant
from deqir.pretrained.lpips import Lpips
from deqir.priors import Prior

from .command import parser_of, prior_of
from .measuring import Bench
from .photographs import PHOTOGRAPHS, operator, photograph

NEAR: Final = 1 / 127.5
"""One grey level of 255, images in [-1, 1]."""


class Case(NamedTuple):
    """Chains of one length, over photographs of one size."""

    steps: int
    size: int
    photographs: tuple[str, ...]


CASES: Final = (
    Case(10, 128, PHOTOGRAPHS),
    Case(20, 128, PHOTOGRAPHS),
    Case(50, 64, PHOTOGRAPHS),
    Case(100, 64, PHOTOGRAPHS[:1]),
    Case(10, 256, ("astronaut", "coffee")),
    Case(20, 256, ("astronaut", "coffee")),
)
QUICK: Final = (Case(4, 32, PHOTOGRAPHS[:2]),)


def rounds_to_reach(prior: Prior, name: str, problem: str, *, size: int, steps: int, eta: float) -> int:
    """Return the rounds of the secant solve until its last state is near the sequential chain's; at most T."""
    bench = Bench(prior=prior, lpips=Lpips(), A=operator(problem, size), x=photograph(name, size))
    sampler = bench.sampler(steps=steps, eta=eta)
    end = sampler.end(sampler.initial())
    F, X, row = JointMap(sampler, Secant()), sampler.frozen(), torch.arange(1)
    while F.calls < steps:
        X = F(X, row)
        if float((X[:, -1] - end).square().mean().sqrt()) <= NEAR:
            break
    return F.calls


def main() -> None:
    """Print the table, row by row."""
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="one short chain over tiny pictures: a smoke run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prior = prior_of(options.prior)
    print("| T | pixels a side | problem | eta = 0 | eta = 0.85 | eta = 1 |")
    print("|---|---|---|---|---|---|")
    for steps, size, names in QUICK if options.quick else CASES:
        for problem in ("sr4", "inpaint70"):
            cells = list[str]()
            for eta in (0.0, 0.85, 1.0):
                with torch.inference_mode():
                    found = [rounds_to_reach(prior, name, problem, size=size, steps=steps, eta=eta) for name in names]
                cells.append(f"**{median(found):g}** ({', '.join(map(str, found))})")
            print(f"| {steps} | {size} | {problem} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
