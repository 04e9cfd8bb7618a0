"""The figures of docs/convergence.md: python -m benchmarks.convergence [--quick]

Writes convergence.json (every figure, with the environment) and convergence.md (the tables) into --out. Fetches
the prior and LPIPS unless they are in the cache. One thread; half an hour, --quick a few seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor
from torch.nn import functional

from deqir import Restorer
from deqir.models import fetch_model
from deqir.pretrained.lpips import Lpips, load_lpips
from deqir.priors import Prior

from .command import parser_of_tables, prior_of
from .environment import environment
from .measuring import Bench, Remembering, Score, mean
from .photographs import PHOTOGRAPHS, operator, photograph
from .plans import Setting, settings
from .tables import Record, render


class Measuring:
    """Runs settings; keeps the end of each sequential chain, as several settings need it."""

    def __init__(self, prior: Prior, lpips: Lpips) -> None:
        self._denoiser, self._lpips = Remembering(prior), lpips
        self._ends: dict[Setting, tuple[Tensor, Score]] = {}

    def __call__(self, setting: Setting, /) -> list[Record]:
        """Return the mean scores over the photographs: of the sequential chain, or after each round."""
        one_by_one = [self._scores(replace(setting, photographs=(name,))) for name in setting.photographs]
        return [Record(setting=setting, score=mean(scores)) for scores in zip(*one_by_one, strict=True)]

    def _scores(self, setting: Setting) -> list[Score]:
        (name,) = setting.photographs
        A = operator(setting.problem, setting.size)
        bench = Bench(prior=self._denoiser, lpips=self._lpips, A=A, x=photograph(name, setting.size))
        if setting.start_noise == 0:
            return [bench.start()]
        sampler = bench.sampler(
            steps=setting.steps, eta=setting.eta, start_noise=setting.start_noise, end_noise=setting.end_noise
        )
        chain = replace(setting, table="", surrogate=None, solver="", rounds=0)
        if chain not in self._ends:
            self._ends[chain] = bench.sequential(sampler)
        x_0, score = self._ends[chain]
        if setting.surrogate is None:
            return [score]
        return bench.by_rounds(
            sampler, to=x_0, surrogate=setting.surrogate, solver=setting.solver, rounds=setting.rounds
        )


def acceptance(prior: Prior, lpips: Lpips, *, size: int, photographs: Sequence[str]) -> list[dict[str, float | str]]:
    """4x super-resolution with default settings from 8-bit inputs, beside bicubic interpolation."""
    rows = list[dict[str, float | str]]()
    for name in photographs:
        x, A = photograph(name, size), operator("sr4", size)
        y = (A(x) * 127.5 + 127.5).round() / 127.5 - 1
        bench = Bench(prior=prior, lpips=lpips, A=A, x=x)
        bicubic = functional.interpolate(y, scale_factor=4, mode="bicubic", align_corners=False)
        restored = Restorer(prior)(y, A).images
        before, after = (bench.score(image, to=image, rounds=0, nfe=0) for image in (bicubic, restored))
        row = {
            "bicubic_psnr": before.psnr,
            "psnr": after.psnr,
            "bicubic_lpips": before.lpips,
            "lpips": after.lpips,
        }
        rows.append({"photograph": name, **row})
    return rows


def main() -> None:
    """Measure, print as it goes, and write the results."""
    arguments = parser_of_tables(__doc__).parse_args()
    torch.set_num_threads(1)
    fetch_model("lpips")
    prior, lpips = prior_of(arguments.prior), load_lpips(device="cpu")
    wanted = [one for one in settings(quick=arguments.quick) if one.table in (arguments.table or [one.table])]
    began = time.perf_counter()
    records, measure = list[Record](), Measuring(prior, lpips)
    with torch.inference_mode():
        names, size = (PHOTOGRAPHS[:1], 64) if arguments.quick else (PHOTOGRAPHS, 256)
        accepted = acceptance(prior, lpips, size=size, photographs=names)
        for done, setting in enumerate(wanted, 1):
            records += measure(setting)
            seconds = time.perf_counter() - began
            print(f"{done}/{len(wanted)} {seconds:.0f} s: {setting.table}, {setting.problem}", flush=True)
    facts = {
        "environment": environment(),
        "prior": {"name": prior.name, "sha256": prior.digest},
        "seconds": round(time.perf_counter() - began),
        "processor_seconds": round(time.process_time()),
        "acceptance": accepted,
        "records": [asdict(record.setting) | asdict(record.score) for record in records],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "convergence.json").write_text(json.dumps(_rounded(facts)) + "\n", encoding="utf-8")
    tables = render(records, accepted)
    (arguments.out / "convergence.md").write_text(tables, encoding="utf-8")
    print(tables)


def _rounded(value: object) -> object:
    """Return figures to 6 digits, without nan and inf, which JSON does not have."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) < float("inf") else str(value)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
