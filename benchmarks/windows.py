"""The table of docs/performance.md on the cost and accuracy of windows: python -m benchmarks.windows

Prints rounds / network evaluations / distance to the sequential chain in grey levels of 255 (RMS), of two photographs
of 128 x 128 pixels each. One thread; a few minutes.
"""

from __future__ import annotations

import torch

from deqir import Restorer
from deqir.priors import Prior

from .command import prior_of
from .photographs import operator, photograph

SIDE = 128
NAMES = ("astronaut", "coffee")
CHAINS = ((10, 0.95), (20, 0.0), (20, 0.95), (20, 1.0))


def measure(prior: Prior, problem: str, name: str, *, steps: int, eta: float, window: int) -> tuple[int, int, float]:
    """Return rounds, network evaluations and distance of one photograph's restoration."""
    A, x = operator(problem, SIDE), photograph(name, SIDE)
    y = A(x)
    exact = Restorer(prior, steps=steps, eta=eta, mode="throughput")(y, A).images
    result = Restorer(prior, steps=steps, eta=eta, mode=window)(y, A)
    distance = float((result.images - exact).square().mean().sqrt()) * 127.5
    return result.stats[0].rounds, result.stats[0].nfe, distance


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    prior = prior_of("ffdnet")
    print("| problem | T, eta | window T | window 5 | window 3 |")
    print("|---|---|---|---|---|")
    for problem in ("sr4", "inpaint70"):
        for steps, eta in CHAINS:
            cells = list[str]()
            for window in (steps, 5, 3):
                found = [measure(prior, problem, name, steps=steps, eta=eta, window=window) for name in NAMES]
                rounds, nfe, distance = zip(*found, strict=True)
                columns = (map(str, rounds), map(str, nfe), (f"{each:.2f}" for each in distance))
                cells.append(" / ".join(", ".join(column) for column in columns))
            print(f"| {problem} | {steps}, {eta:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
