"""The results of `benchmarks.convergence` as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .measuring import Score
from .plans import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one setting gave: of a parallel solve after `score.rounds` rounds."""

    setting: Setting
    score: Score


def render(records: Sequence[Record], accepted: Sequence[Mapping[str, float | str]]) -> str:
    """Return all tables that there are records for."""
    parts = [("The default settings on 4x super-resolution", _acceptance(accepted))]
    by_table = {
        table: [r for r in records if r.setting.table == table]
        for table in dict.fromkeys(record.setting.table for record in records)
    }
    titles = {
        "grid": ("Rounds, evaluations, fidelity and quality", _grid),
        "surrogates": ("Fidelity in dB to the sequential result after rounds 1, 2, ...", _surrogates),
        "depth": ("Equal depth: PSNR in dB / LPIPS to the original", _depth),
        "steps": ("Sequential chains: PSNR in dB / LPIPS to the original", _steps),
        "end noise": ("Noise of the last step (of 255)", _noises("end_noise")),
        "tolerance": ("The parallel solve with default settings", _tolerance),
        "start noise": (
            "Noise of the start (of 255): PSNR in dB / LPIPS to the original",
            _noises("start_noise"),
        ),
    }
    for table, found in by_table.items():
        title, lines = titles[table]
        parts.append((title, lines(found)))
    return "\n".join(f"### {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts)


GRID_HEAD: Final = (
    *("problem", "T", "eta", "surrogate, solver", "rounds", "NFE", "fidelity, dB", "dB / LPIPS"),
    *("chain of as many steps", "chain of T steps"),
)


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _quality(score: Score) -> str:
    return f"{score.psnr:.2f} / {score.lpips:.3f}"


def _acceptance(accepted: Sequence[Mapping[str, float | str]]) -> Iterator[str]:
    names = ("bicubic_psnr", "psnr", "bicubic_lpips", "lpips")
    means = {name: sum(float(row[name]) for row in accepted) / len(accepted) for name in names}
    rows = [*accepted, {"photograph": "mean", **means}]
    yield from _rows(
        ["photograph", "bicubic, dB", "restored, dB", "bicubic, LPIPS", "restored, LPIPS"],
        [
            [
                str(row["photograph"]),
                *(f"{float(row[name]):.{digits}f}" for name, digits in zip(names, (2, 2, 3, 3), strict=True)),
            ]
            for row in rows
        ],
    )


def _grid(records: Sequence[Record]) -> Iterator[str]:
    chains = {_key(r.setting, r.setting.steps): r.score for r in records if r.setting.surrogate is None}
    rows = list[list[str]]()
    for record in records:
        setting, score = record.setting, record.score
        if setting.surrogate is None or score.rounds not in (2, 3, 4, 5, 6):
            continue
        rows.append(
            [
                setting.problem,
                str(setting.steps),
                f"{setting.eta:g}",
                f"{setting.surrogate}, {setting.solver}",
                str(score.rounds),
                str(score.nfe),
                f"{score.fidelity:.1f}",
                _quality(score),
                _quality(chains[_key(setting, score.rounds)]),
                _quality(chains[_key(setting, setting.steps)]),
            ]
        )
    yield from _rows(
        GRID_HEAD,
        rows,
    )


def _key(setting: Setting, steps: int) -> Setting:
    return replace(setting, steps=steps, surrogate=None, solver="picard", rounds=0)


def _surrogates(records: Sequence[Record]) -> Iterator[str]:
    cells = dict[tuple[str, int, float], dict[str, list[str]]]()
    for record in records:
        setting = record.setting
        if setting.surrogate is not None:
            case = (setting.photographs[0], setting.steps, setting.eta)
            line = cells.setdefault(case, {}).setdefault(setting.surrogate, [])
            line.append(f"{record.score.fidelity:.0f}")
    names = ("data", "wiener", "secant")
    yield from _rows(
        ["T, eta", "photograph", *names],
        [
            [f"{steps}, {eta:g}", photograph, *(" ".join(line[name]) for name in names)]
            for (photograph, steps, eta), line in cells.items()
        ],
    )


def _depth(records: Sequence[Record]) -> Iterator[str]:
    columns = dict[str, dict[int, str]]()
    for record in records:
        setting, score = record.setting, record.score
        if setting.surrogate is None:
            name = f"sequential, eta = {setting.eta:g}"
            columns.setdefault(name, {})[setting.steps] = _quality(score)
        else:
            name = f"secant, T = {setting.steps}, eta = {setting.eta:g}"
            columns.setdefault(name, {})[score.rounds] = _quality(score)
    depths = sorted({r.setting.steps for r in records if r.setting.surrogate is None})
    yield from _rows(
        ["depth k", *columns], [[str(k), *(column.get(k, "") for column in columns.values())] for k in depths]
    )


def _steps(records: Sequence[Record]) -> Iterator[str]:
    cells = {(r.setting.eta, r.setting.steps): _quality(r.score) for r in records}
    steps = sorted({T for _, T in cells})
    yield from _rows(
        ["eta", *(f"T = {T}" for T in steps)],
        [[f"{eta:g}", *(cells[eta, T] for T in steps)] for eta in sorted({eta for eta, _ in cells})],
    )


def _noises(field: str):  # type: ignore[no-untyped-def]
    def table(records: Sequence[Record]) -> Iterator[str]:
        levels = sorted({getattr(r.setting, field) for r in records})
        cells = {(r.setting.problem, getattr(r.setting, field)): _quality(r.score) for r in records}
        problems = dict.fromkeys(problem for problem, _ in cells)
        yield from _rows(
            ["problem", *(f"{255 * level:.0f}" for level in levels)],
            [[problem, *(cells[problem, level] for level in levels)] for problem in problems],
        )

    return table


def _tolerance(records: Sequence[Record]) -> Iterator[str]:
    yield from _rows(
        ["rounds", "NFE", "largest residual", "fidelity, dB", "dB / LPIPS"],
        [
            [
                "step by step" if r.setting.surrogate is None else str(r.score.rounds),
                str(r.score.nfe),
                "" if r.setting.surrogate is None else f"{r.score.residual:.4f}",
                f"{r.score.fidelity:.1f}",
                _quality(r.score),
            ]
            for r in records
        ],
    )
