"""The results of `benchmarks.convergence` as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .measuring import Score
from .plans import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The score of a setting; for a parallel solve, after `score.rounds` rounds."""

    setting: Setting
    score: Score


def render(records: Sequence[Record], accepted: Sequence[Mapping[str, float | str]]) -> str:
    """Return all tables with records."""
    titles: Sequence[tuple[str, str, Callable[[Sequence[Record]], Iterator[str]]]] = (
        ("grid", "Fidelity to the sequential chain in dB after rounds 1, 2, ...", _fidelity),
        ("grid", "Fidelity · PSNR to the original, both in dB, after the last round", _last_round),
        ("grid", "Quality at equal depth: dB / LPIPS to the original", _quality_at_depth),
        ("grid", "Network evaluations of k rounds", _evaluations),
        ("surrogates", "Fidelity in dB after rounds 1, 2, ..., at 256 x 256 (coffee: 128 x 128)", _surrogates),
        ("depth", "Equal depth, mean of the photographs: dB / LPIPS to the original", _depth),
        ("steps", "Sequential chains: dB / LPIPS to the original", _steps),
        ("end noise", "Noise of the last step, of 255: dB / LPIPS to the original", _noises("end_noise")),
        ("tolerance", "The parallel solve with default settings", _tolerance),
        ("start noise", "Noise of the start, of 255: dB / LPIPS to the original", _noises("start_noise")),
    )
    parts = [("The default settings on 4x super-resolution", _acceptance(accepted))]
    for table, title, lines in titles:
        found = [record for record in records if record.setting.table == table]
        if found:
            parts.append((title, lines(found)))
    return "\n".join(f"### {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts)


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
    rows: list[Mapping[str, float | str]] = [*accepted, {"photograph": "mean", **means}]
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


def _method(setting: Setting) -> str:
    return f"{setting.surrogate}, {setting.solver}"


def _by_rounds(
    records: Sequence[Record], case: Callable[[Setting], str]
) -> dict[tuple[str, int, float], dict[str, list[str]]]:
    """Return the fidelities of parallel solves, round by round, for each case, T and eta, and each method."""
    cells = dict[tuple[str, int, float], dict[str, list[str]]]()
    for record in records:
        setting = record.setting
        if setting.surrogate is not None:
            line = cells.setdefault((case(setting), setting.steps, setting.eta), {})
            line.setdefault(_method(setting), []).append(f"{record.score.fidelity:.0f}")
    return cells


def _fidelity(records: Sequence[Record]) -> Iterator[str]:
    cells = _by_rounds(records, lambda setting: setting.problem)
    methods = list(dict.fromkeys(method for line in cells.values() for method in line))
    yield from _rows(
        ["problem", "T", "eta", *methods],
        [
            [problem, str(T), f"{eta:g}", *(" ".join(line.get(method, [])) for method in methods)]
            for (problem, T, eta), line in cells.items()
        ],
    )


def _last_round(records: Sequence[Record]) -> Iterator[str]:
    """Fidelity and PSNR of every method after the last round, beside the chain of as many steps and of all."""
    chains = {_chain(r.setting, r.setting.steps): f"{r.score.psnr:.2f}" for r in records if not r.setting.surrogate}
    ends = {r.setting: r.score for r in records if r.setting.surrogate and r.score.rounds in (0, r.setting.rounds)}
    methods = list(dict.fromkeys(_method(setting) for setting in ends))
    lines = dict[Setting, dict[str, Score]]()
    for setting, score in ends.items():
        one = replace(setting, surrogate=None, solver="picard")
        lines.setdefault(one, {})[_method(setting)] = score
    rows = list[list[str]]()
    for one, scores in lines.items():
        nfe = max(score.nfe for score in scores.values())
        cells = [f"{s.fidelity:.0f} · {s.psnr:.2f}" if (s := scores.get(method)) else "–" for method in methods]
        rivals = [chains[_chain(one, one.rounds)], chains[_chain(one, one.steps)]]
        rows.append([one.problem, f"{one.steps}, {one.eta:g}", f"{one.rounds} ({nfe})", *cells, *rivals])
    yield from _rows(["problem", "T, eta", "rounds (NFE)", *methods, "chain of as many steps", "chain of T"], rows)


def _quality_at_depth(records: Sequence[Record]) -> Iterator[str]:
    """The secant solver after 3 rounds and after the last, beside the chain of as many steps and of all."""
    chains = {_chain(r.setting, r.setting.steps): _quality(r.score) for r in records if not r.setting.surrogate}
    rows = list[list[str]]()
    for record in records:
        setting, k = record.setting, record.score.rounds
        if _method(setting) == "secant, picard" and k in (3, setting.rounds):
            chain = [chains[_chain(setting, k)], chains[_chain(setting, setting.steps)]]
            rows.append(
                [setting.problem, str(setting.steps), f"{setting.eta:g}", str(k), _quality(record.score), *chain]
            )
    yield from _rows(["problem", "T", "eta", "k", "secant, k rounds", "k steps", "T steps"], rows)


def _evaluations(records: Sequence[Record]) -> Iterator[str]:
    cells = {(r.setting.steps, r.score.rounds): r.score.nfe for r in records if r.setting.surrogate is not None}
    rounds = sorted({k for _, k in cells})
    yield from _rows(
        ["T", *(f"k = {k}" for k in rounds)],
        [[str(T), *(str(cells.get((T, k), "")) for k in rounds)] for T in sorted({T for T, _ in cells})],
    )


def _chain(setting: Setting, steps: int) -> Setting:
    return replace(setting, steps=steps, surrogate=None, solver="picard", rounds=0)


def _surrogates(records: Sequence[Record]) -> Iterator[str]:
    cells = _by_rounds(records, lambda setting: setting.photographs[0])
    names = ("data", "wiener", "secant")
    yield from _rows(
        ["T, eta", "photograph", *names],
        [
            [f"{steps}, {eta:g}", photograph, *(" ".join(line[f"{name}, picard"]) for name in names)]
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


def _noises(field: str) -> Callable[[Sequence[Record]], Iterator[str]]:
    def table(records: Sequence[Record]) -> Iterator[str]:
        levels = sorted({getattr(r.setting, field) for r in records})
        cells = {(r.setting.problem, getattr(r.setting, field)): _quality(r.score) for r in records}
        problems = dict.fromkeys(problem for problem, _ in cells)
        yield from _rows(
            ["problem", *(f"{255 * level:.0f}" if level else "the start itself" for level in levels)],
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
