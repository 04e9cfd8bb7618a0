"""The chains for each table of docs/convergence.md, in full and for a smoke run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from deqir.restore import SURROGATES, Defaults, SurrogateName

from .photographs import PHOTOGRAPHS


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way of restoring, for one table.

    Attributes:
        table: Its table.
        photographs: The mean over these is stated.
        size: Pixels a side.
        problem: How they were degraded.
        steps, eta, end_noise: The chain.
        start_noise: None: the operator's. 0: no chain at all, the start is measured.
        surrogate: None: the sequential chain.
        solver: How the joint map is solved.
        rounds: Rounds to measure.
    """

    table: str
    photographs: tuple[str, ...]
    size: int
    problem: str = "sr4"
    steps: int = Defaults.STEPS
    eta: float = Defaults.ETA
    end_noise: float = Defaults.END_NOISE
    start_noise: float | None = None
    surrogate: SurrogateName | None = None
    solver: str = "picard"
    rounds: int = 0


def settings(*, quick: bool) -> list[Setting]:
    """Return every setting needed for the tables."""
    tables = (grid, surrogates, depth, chains, tolerance, start_noise)
    return [setting for table in tables for setting in table(quick)]


def grid(quick: bool) -> Iterator[Setting]:
    """Every surrogate and solver, every eta, three problems, beside chains as long as the rounds."""
    rounds: Mapping[int, int] = {4: 3} if quick else {10: 6, 20: 5, 50: 4}
    one = Setting(table="grid", photographs=PHOTOGRAPHS[:1], size=64 if quick else 128)
    for problem in ("sr4",) if quick else ("sr4", "inpaint70", "colorize"):
        for eta in (0.95,) if quick else (0.0, 0.85, 0.95, 1.0):
            chain = replace(one, problem=problem, eta=eta)
            for steps in sorted({*rounds, *range(1, max(rounds.values()) + 1)}):
                yield replace(chain, steps=steps)
            for steps, most in rounds.items():
                for surrogate, solver in _methods(steps):
                    yield replace(chain, steps=steps, surrogate=surrogate, solver=solver, rounds=most)


def _methods(steps: int) -> Iterator[tuple[SurrogateName, str]]:
    for surrogate in SURROGATES:
        yield surrogate, "picard"
    yield "eps", "paper"
    if steps < 50:  # the shorter chains show what safeguarded mixing does; the long one takes most of the time
        yield from (("eps", "anderson"), ("secant", "anderson"))


def surrogates(quick: bool) -> Iterator[Setting]:
    """Fidelity by rounds, for three surrogates."""
    astronaut = Setting(
        table="surrogates", photographs=("astronaut",), size=64 if quick else 256, rounds=2 if quick else 7
    )
    coffee = replace(astronaut, photographs=("coffee",), size=64 if quick else 128)
    cases = [(astronaut, 10, 0.85), (astronaut, 10, 1.0), (astronaut, 20, 0.0), (astronaut, 20, 0.85)]
    cases += [(astronaut, 20, 1.0), (coffee, 20, 1.0), (coffee, 50, 1.0)]
    names: tuple[SurrogateName | None, ...] = (None, "data", "wiener", "secant")
    for one, steps, eta in cases[:1] if quick else cases:
        for surrogate in names:
            yield replace(one, steps=steps, eta=eta, surrogate=surrogate)


def depth(quick: bool) -> Iterator[Setting]:
    """The secant solver's image after k rounds, beside the chains of k steps and of all."""
    one = _four("depth", quick)
    for eta in (1.0, 0.85):
        for steps in (2, 3) if quick else (3, 5, 8, 20):
            yield replace(one, steps=steps, eta=eta)
    longer = ((3, 1.0), (3, 0.85)) if quick else ((20, 1.0), (20, 0.85), (50, 0.85))
    for steps, eta in longer:
        chain = replace(one, steps=steps, eta=eta)
        if steps == 50:
            yield chain
        yield replace(chain, surrogate="secant", rounds=2 if quick else 8)


def chains(quick: bool) -> Iterator[Setting]:
    """Sequential chains: steps and eta, then the noise of the last step."""
    one = _four("steps", quick)
    for eta in (0.95,) if quick else (0.0, 0.85, 0.9, 0.95, 1.0):
        for steps in (3,) if quick else (3, 5, 8, 12, 20):
            yield replace(one, steps=steps, eta=eta)
    for end_noise in (6,) if quick else (4, 6, 8):
        yield replace(one, table="end noise", end_noise=end_noise / 255)


def tolerance(quick: bool) -> Iterator[Setting]:
    """Residuals of the parallel solve with default settings, to see the effect of a tolerance."""
    one = _four("tolerance", quick)
    yield one
    yield replace(one, surrogate="secant", rounds=2 if quick else 14)


def start_noise(quick: bool) -> Iterator[Setting]:
    """The noise of the start of each problem."""
    one = replace(_four("start noise", quick), size=64 if quick else 128)
    for problem in ("sr4",) if quick else ("sr4", "inpaint70", "text", "colorize"):
        for noise in (0, 49) if quick else (0, 20, 35, 49, 75):
            yield replace(one, problem=problem, start_noise=noise / 255)


def _four(table: str, quick: bool) -> Setting:
    """The default chain on all photographs."""
    if quick:
        return Setting(table=table, photographs=PHOTOGRAPHS[:1], size=64, steps=3)
    return Setting(table=table, photographs=PHOTOGRAPHS, size=256)
