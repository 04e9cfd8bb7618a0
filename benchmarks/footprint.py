"""The peak memory of restoring, in a process of its own: python -m benchmarks.footprint --images N --batch B

Prints the growth of the process's peak resident memory, in MiB, after a first evaluation of the prior.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from deqir import Engine, Request, Settings

from .command import parser_of, prior_of
from .photographs import operator, photograph
from .trials import Row


def table(prior: str, *, size: int, images: int, batches: tuple[int, ...]) -> list[Row]:
    """Restore in processes of their own: ever larger batches of so many images, then four times as many."""
    rows = list[Row]()
    for batch, number in [*((batch, images) for batch in batches), (batches[-1], 4 * images)]:
        words = ["--prior", prior, "--size", size, "--images", number, "--batch", batch]
        command = [sys.executable, "-m", "benchmarks.footprint", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
        rows.append({"batch": batch, "images": number, "MiB": float(done.stdout)})
    for row in rows:
        row["MiB an image of the batch"] = float(row["MiB"]) / float(row["batch"])
    return rows


def peak() -> float:
    """Return the peak memory of this process since `forget`, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def forget() -> None:
    """Reset the peak memory; only Linux can."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def main() -> None:
    """Restore, and print the memory."""
    parser = parser_of(__doc__)
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4, help="evaluations in one call of the network")
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    prior, A = prior_of(options.prior), operator("sr4", options.size)
    x = photograph("coffee", options.size)

    def requests() -> Iterator[Request[int]]:
        for n in range(options.images):
            yield Request(y=A(x)[0], operator=A, seed=n, tag=n)

    settings = Settings(mode="throughput", denoiser_batch=options.batch, steps=options.steps)
    with torch.inference_mode():
        prior(x, torch.tensor([0.9], dtype=torch.float64))
        forget()
        before = peak()
        for _ in Engine(prior, settings).run(requests(), images=options.images):
            pass
    print(f"{peak() - before:.1f}")


if __name__ == "__main__":
    main()
