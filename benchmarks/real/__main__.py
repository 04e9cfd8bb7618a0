"""Restore realistic images through the product, and judge them: python -m benchmarks.real

Each case is a held-out photograph, or a picture that is no photograph, as somebody has it: a JPEG, made smaller, out of
focus, moved, noisy, a scan, enlarged before, or clean. It is restored by jobs on folders, as `deqir restore` runs them,
and the files that these write are compared with the original: by the right command (told), by `--task auto`, from
Real-ESRGAN's picture as the guide, and Real-ESRGAN by itself. Writes real.md, real.json and real.jpg (a contact sheet)
into --out. No network here was trained on these photographs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.command import RESULTS, parser_of
from deqir.models import REAL_ESRGAN, fetch_model
from deqir.pretrained.real_esrgan import load_real_esrgan
from deqir.priors import BUNDLED, FETCHABLE

from .archive.case import Case, Told
from .archive.cases import all_cases
from .archive.pictures import Pixels
from .judging import Judge
from .results import Record, write
from .sheet import write_sheet
from .table import NAMES, render
from .ways import AUTO, GIVEN, GUIDED, WAYS, MissingTaskError, Outcome, enlarged, given, restored


def main() -> None:
    """Measure, and write the tables."""
    parser = parser_of(__doc__, prior=BUNDLED)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="one case of each group: a few minutes")
    parser.add_argument("--case", action="append", help="cases with this word in group or name (may be given again)")
    parser.add_argument("--way", action="append", choices=WAYS[1:], help="this way alone (may be given again)")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ways = [GIVEN, *(way for way in WAYS[1:] if options.way is None or way in options.way)]
    drawn = {REAL_ESRGAN} if {GUIDED, REAL_ESRGAN} & set(ways) else set[str]()
    for name in ("lpips", *drawn, *({options.prior} & set(FETCHABLE))):
        fetch_model(name)
    words = options.case or [""]
    cases = [
        case
        for case in all_cases()
        if (case.quick or not options.quick) and any(word in f"{case.group}: {case.name}" for word in words)
    ]
    notes, outcomes = dict[str, str](), dict[tuple[str, str], Outcome]()
    with tempfile.TemporaryDirectory() as folder:
        for way in ways:
            found = by_way(way, cases, Path(folder) / way, notes, prior=options.prior)
            outcomes |= {(case, way): outcome for case, outcome in found.items()}
            print(f"{way}: {len(found)} images", flush=True)
    records = judged(cases, outcomes)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "real.json", records, notes, prior=options.prior)
    text = render(records, notes)
    (options.out / "real.md").write_text(text, encoding="utf-8")
    pixels: dict[tuple[str, str], Pixels] = {(case, NAMES[way]): o.pixels for (case, way), o in outcomes.items()}
    pixels |= {(case.name, "original"): case.original for case in cases}
    write_sheet(options.out / "real.jpg", cases, pixels, [*NAMES.values(), "original"])
    print(text)


@torch.inference_mode()
def by_way(
    way: str, cases: Sequence[Case], folder: Path, notes: dict[str, str], *, prior: str
) -> Mapping[str, Outcome]:
    """Return the outcome of each case by its name, without cases that the way does not suit or the product refuses."""
    if way == GIVEN:
        return {case.name: given(case) for case in cases}
    if way == REAL_ESRGAN:
        load = cache(lambda: load_real_esrgan(device="cpu"))
        return {case.name: enlarged(case, load) for case in cases}
    jobs, settings = dict[str, tuple[Told, list[Case]]](), dict[str, Any]({"prior": prior})
    if way == GUIDED:
        cases, settings["guide"] = [case for case in cases if case.scale > 1], REAL_ESRGAN
    for case in cases:
        told = auto(case) if way == AUTO else case.told
        name = told.words if told.drawn is None else case.name
        jobs.setdefault(name, (told, []))[1].append(case)
    outcomes = dict[str, Outcome]()
    for number, (told, some) in enumerate(jobs.values()):
        try:
            outcomes |= restored(some, told, folder / str(number), **settings)
        except MissingTaskError as missing:
            notes[f"{way}, `{told.words}`"] = str(missing)
    return outcomes


def auto(case: Case) -> Told:
    """Return the command of an archive of which nothing is known but the size that is wanted."""
    return Told(settings={"task": "auto"} | ({"scale": case.scale} if case.scale > 1 else {}))


def judged(cases: Sequence[Case], outcomes: Mapping[tuple[str, str], Outcome]) -> list[Record]:
    """Return the records of all outcomes."""
    judge, records = Judge(), list[Record]()
    for case in cases:
        for way in WAYS:
            outcome = outcomes.get((case.name, way))
            if outcome is not None:
                records.append(
                    Record(
                        case=case.name,
                        group=case.group,
                        chain=case.words,
                        photograph=case.photograph,
                        scale=case.scale,
                        way=way,
                        told=case.told.words,
                        status=outcome.status,
                        score=judge.score(outcome.pixels, case.original, toned=case.toned),
                        aside=None
                        if outcome.aside is None
                        else judge.score(outcome.aside, case.original, toned=case.toned),
                        nfe=outcome.nfe,
                        seconds=outcome.seconds,
                        note=outcome.note,
                    )
                )
    return records


if __name__ == "__main__":
    main()
