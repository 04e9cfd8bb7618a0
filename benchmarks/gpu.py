"""The engine on a GPU: python -m benchmarks.gpu [--quick] [--out DIR]

Ceilings of the device; networks by size, batch and precision, with their calls recorded as CUDA graphs and without;
many images beside a loop by hand; one image in every mode; memory; kernels. Writes gpu.json (with the environment) and
gpu.md into --out, anew after each table. A table that fails is reported and the others go on; the exit status is then
1. Every table has its share of the time; the last row of an incomplete table says so. --quick --device cpu is a smoke
run, with no share but the whole time for each table.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from deqir import Prior, load_prior

from . import networks
from .ceilings import ceilings
from .command import parser_of_tables, prior_of
from .compiling import compiled
from .environment import environment, gpu
from .kernels import Account, Case, account, kinds_of, rounds_of
from .latencies import Cell, alone, deepened
from .networks import measuring, variants
from .throughputs import as_it_comes, in_bulk, memory, noise
from .trials import Row, markdown

CUT: Final = "no more: the time was over"

Part = Callable[[], Iterable[Row]]
"""A function to measure some rows of a table."""


class Table(NamedTuple):
    """The parts of a table, and the seconds after which no further part is begun, unless it is needed."""

    parts: Sequence[Part]
    seconds: float
    needs: float = 0.0


def tables(prior: Prior, options: argparse.Namespace) -> dict[str, Table]:
    """Return each table by name, the most important tables first."""
    quick, device = options.quick, prior.device
    half = "float32" if device.type == "cpu" else "float16"  # few CPUs have instructions for it
    side, small, size, many = (128, 8, 16, 2) if quick else (8192, 64, 256, 128)
    steps, batches = ((4,), (1, 2)) if quick else ((20, 50), (1, 4, 16, 64))
    ffdnet = partial(networks.ffdnet, device)
    drunet, unet = (cache(partial(make, device, small=quick)) for make in (networks.drunet, networks.unet))
    bundled = cache(partial(load_prior, "bundled", device=str(device)))

    def speeds(make: Callable[[], Prior], pixels: int, precision: str, calls: Sequence[int]) -> Part:
        return lambda: networks.speeds(make(), pixels, precision, calls, side=side)

    def unaltered(precision: str) -> Part:
        return lambda: as_it_comes(bundled(), precision, 2 * many, size=size)

    def layouts(make: Callable[[], Prior]) -> Part:
        return lambda: variants(make(), 2 * small, batches[-2], half=half)

    def deep(make: Callable[[], Prior]) -> Part:
        return lambda: alone(deepened(prior, make()), half, Cell(steps=steps[0], size=small))

    @cache
    def accounts() -> dict[Case, Account]:
        cases = Case("throughput", 1, size), Case("latency", 1, size), Case("throughput", max(1, many // 4), size)
        return {case: account(prior, case, batch=16, steps=steps[0]) for case in cases}

    both, cells = ("TF32", half), [Cell(steps=length, size=pixels) for length in steps for pixels in (size, small)]
    found = {
        "ceilings": Table([partial(ceilings, device, side)], 5),
        "bulk": Table([partial(in_bulk, prior, it, many, size=size, steps=steps[0]) for it in (half, "default")], 12),
        "bundled": Table([unaltered(half), unaltered("default")], 12),
        "one image": Table([partial(alone, prior, "default", cell) for cell in cells], 18),
        "ffdnet": Table(
            [
                *(speeds(ffdnet, pixels, precision, batches) for pixels in (size, small) for precision in both),
                speeds(ffdnet, size, "float32", batches[:2]),
            ],
            6,
        ),
        "rounds": Table([lambda: rounds_of(accounts(), prior.name)], 8),
        "kernels": Table([lambda: kinds_of(accounts())], 8),
        "noise": Table([partial(noise, device, length, size) for length in (3, 20, 100)], 2),
        "batches": Table([partial(measuring, prior, it, n) for n in (size, small) for it in both], 4),
        "drunet": Table([speeds(drunet, 2 * small, precision, batches) for precision in both], 5),
        "unet": Table([speeds(unet, small, precision, (1, 2) if quick else (1, 8)) for precision in both], 9),
        "one image, deep networks": Table([deep(drunet), deep(unet)], 12),
        "compiled": Table([partial(compiled, device, 2 * small, batch) for batch in (1, batches[-2])], 30, needs=15),
        "memory": Table([partial(memory, prior, n, size=size, batch=16) for n in (many // 8 or 1, 2 * many)], 4),
        "variants": Table([layouts(make) for make in (ffdnet, drunet, unet)], 5),
    }
    if device.type == "cpu":  # nothing is measured there, nor is a compiler to be had everywhere
        del found["batches"], found["compiled"]
    return found


def measure(table: Table, rows: list[Row], until: float) -> None:
    """Add the rows of a table, part by part, and a last row if the time was too short for all parts."""
    end = min(until - table.needs, time.monotonic() + table.seconds)
    for part in table.parts:
        if time.monotonic() > end:
            columns = list(rows[0]) if rows else [""]
            rows.append({column: "" if n else CUT for n, column in enumerate(columns)})
            return
        for row in part():  # those before one that fails stay
            rows.append(row)


def main() -> None:
    """Measure, print as it goes, and write the results."""
    options = _options()
    until = time.monotonic() + options.limit
    prior = prior_of(options.prior, device=options.device)
    facts = {"environment": environment() | gpu(prior.device), "prior": {"name": prior.name, "sha256": prior.digest}}
    found, failed = dict[str, list[Row]](), dict[str, str]()
    options.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(facts["environment"]), flush=True)
    for name, table in tables(prior, options).items():
        if name not in (options.table or [name]):
            continue
        began, rows, remark = time.monotonic(), found.setdefault(name, []), ""
        try:
            measure(table._replace(seconds=math.inf) if options.quick else table, rows, until)
        except Exception as error:  # noqa: BLE001 - whatever it is, other tables can be measured still
            failed[name] = traceback.format_exc()
            remark = f"failed: {type(error).__name__}: {error}\n{failed[name]}"
        print(f"{name} ({time.monotonic() - began:.1f} s)\n{markdown(rows) if rows else ''}{remark}", flush=True)
        write(options.out, facts | {"tables": found, "failed": failed})
    sys.exit(1 if failed else 0)


def write(out: Path, results: dict[str, object]) -> None:
    """Write gpu.json and gpu.md."""
    (out / "gpu.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    found = results["tables"]
    assert isinstance(found, dict)
    parts = (f"### {name}\n\n{markdown(rows)}" for name, rows in found.items() if rows)
    (out / "gpu.md").write_text("\n".join(parts), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = parser_of_tables(__doc__)
    parser.add_argument("--device", default="cuda", help="cpu, cuda or cuda:N")
    parser.add_argument("--limit", type=float, default=85.0, help="seconds after which nothing is begun")
    return parser.parse_args()


if __name__ == "__main__":
    main()
