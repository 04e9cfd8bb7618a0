"""The figures of `benchmarks.real` as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Final

from deqir.models import REAL_ESRGAN

from .archive.cases import CLEAN
from .judging import Score
from .results import Record
from .ways import AUTO, GIVEN, GUIDED, NOT_DELIVERED, TOLD, WAYS

NAMES: Final = {
    GIVEN: "given",
    TOLD: "told",
    AUTO: "auto",
    GUIDED: "from Real-ESRGAN",
    REAL_ESRGAN: "Real-ESRGAN",
}
ALL: Final = "all damaged photographs"
LOSS: Final = 0.2
"""Loss in dB of a delivered image of the same size that counts as harm."""
ALIKE: Final = 0.002
"""Difference in LPIPS below which two images look alike."""
HEAD: Final = (
    "PSNR in dB / SSIM / LPIPS on AlexNet's features / LPIPS on VGG16's features, to the original. *Given* is the file "
    "as it is; where an enlargement is asked for, bicubic interpolation of it. An image that was left unchanged, set "
    "aside or failed counts as given. *Told* is the right command for the case. Real-ESRGAN's image has four times the "
    "sides; at the same size it is averaged down. Scans are compared after the best change of contrast and brightness "
    "of each channel. PSNR of equal images counts as 60 dB."
)


def render(records: Sequence[Record], notes: Mapping[str, str]) -> str:
    """Return all tables."""
    parts = [
        ("Means of the groups", _means(records)),
        ("Gains over given: dB / VGG's LPIPS, in per cent", _gains(records)),
        ("Deliveries of the jobs", _deliveries(records)),
        ("Images that were set aside", _set_aside(records)),
        ("What auto is still bad at", _weaknesses(records, AUTO)),
        ("What the told tasks are still bad at", _weaknesses(records, TOLD)),
        ("Every case", _cases(records)),
    ]
    missing = [f"- {name}: {text}" for name, text in notes.items()]
    if missing:
        parts.append(("Not measured", iter(missing)))
    return HEAD + "\n\n" + "\n".join(f"### {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts)


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _groups(records: Sequence[Record]) -> dict[str, list[Record]]:
    found = dict[str, list[Record]]()
    for record in records:
        found.setdefault(record.group, []).append(record)
    damaged = [record for record in records if record.photograph and record.group != CLEAN]
    return found | ({ALL: damaged} if damaged else {})


def _of(records: Sequence[Record], way: str) -> dict[str, Record]:
    return {record.case: record for record in records if record.way == way}


def _pairs(records: Sequence[Record], way: str) -> list[tuple[Record, Record]]:
    """Return the given image and the result of a way for each case that the way has."""
    before = _of(records, GIVEN)
    return [(before[name], record) for name, record in _of(records, way).items()]


def _means(records: Sequence[Record]) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for group, some in _groups(records).items():
            count = len(_of(some, GIVEN))
            yield [group, str(count), *(_mean([r for r in some if r.way == way], count) for way in WAYS)]

    return _rows(["group", "images", *NAMES.values()], rows())


def _mean(records: Sequence[Record], count: int) -> str:
    if not records:
        return ""
    few = "" if len(records) == count else f" ({len(records)})"
    return (
        f"{fmean(r.score.psnr for r in records):.2f} / {fmean(r.score.ssim for r in records):.3f} / "
        f"{fmean(r.score.lpips for r in records):.3f} / {fmean(r.score.vgg for r in records):.3f}{few}"
    )


def _gains(records: Sequence[Record]) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for group, some in _groups(records).items():
            yield [group, *(_gain(_pairs(some, way)) for way in WAYS[1:])]

    return _rows(["group", *(NAMES[way] for way in WAYS[1:])], rows())


def _gain(pairs: Sequence[tuple[Record, Record]]) -> str:
    if not pairs:
        return ""
    gain = fmean(after.score.psnr - before.score.psnr for before, after in pairs)
    first, last = fmean(before.score.vgg for before, _ in pairs), fmean(after.score.vgg for _, after in pairs)
    change = 100 * (last / first - 1) if first > ALIKE else 0.0
    return f"{gain:+.2f} / {change:+.0f} %"


def _deliveries(records: Sequence[Record]) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for way in (TOLD, AUTO, GUIDED):
            for group, some in _groups(records).items():
                pairs = _pairs(some, way)
                if pairs:
                    yield [NAMES[way], group, *_counts(pairs)]

    head = [
        "way",
        "group",
        "images",
        "restored",
        "unchanged",
        "set aside",
        "failed",
        "worse by > 0.2 dB",
        "worse in both",
    ]
    return _rows([*head, "largest loss, dB", "evaluations", "seconds"], rows())


def _counts(pairs: Sequence[tuple[Record, Record]]) -> list[str]:
    after = [record for _, record in pairs]
    statuses = [sum(r.status == status for r in after) for status in ("restored", "unchanged", "set_aside", "failed")]
    worst = min(record.score.psnr - before.score.psnr for before, record in pairs)
    return [
        str(len(pairs)),
        *map(str, statuses),
        str(sum(loses(before, record) for before, record in pairs)),
        str(sum(worse_in_both(before, record) for before, record in pairs)),
        f"{min(worst, 0):.2f}",
        f"{fmean(r.nfe for r in after):.1f}",
        f"{fmean(r.seconds for r in after):.1f}",
    ]


def _set_aside(records: Sequence[Record]) -> Iterator[str]:
    """Yield the gain over given of each image that was set aside."""
    found = [(before, after) for way in (TOLD, AUTO, GUIDED) for before, after in _pairs(records, way) if after.aside]
    rows = [
        [NAMES[after.way], after.case, _change(before.score, after.aside), after.note]
        for before, after in found
        if after.aside is not None
    ]
    return _rows(["way", "case", "over given: dB / VGG's LPIPS", "why"], rows) if rows else iter(["None."])


def _change(before: Score, after: Score) -> str:
    return f"{after.psnr - before.psnr:+.2f} / {after.vgg - before.vgg:+.3f}"


def loses(before: Record, after: Record) -> bool:
    """Return True for a delivered image of the same size that lost more than 0.2 dB."""
    return after.scale == 1 and after.status not in NOT_DELIVERED and after.score.psnr < before.score.psnr - LOSS


def worse_in_both(before: Record, after: Record) -> bool:
    """Return True for a delivered image that is worse in PSNR and in VGG's LPIPS."""
    delivered = after.status not in NOT_DELIVERED
    return delivered and after.score.psnr < before.score.psnr - 0.01 and after.score.vgg > before.score.vgg + ALIKE


def _weaknesses(records: Sequence[Record], way: str) -> Iterator[str]:
    """Yield one line for each case in which an image lost, was kept back, or Real-ESRGAN looks better."""
    rivals, any_line = _of(records, REAL_ESRGAN), False
    tests: tuple[tuple[str, Callable[[Record, Record, Record | None], bool]], ...] = (
        ("worse than given by more than 0.2 dB", lambda before, after, rival: loses(before, after)),
        ("worse than given in PSNR and VGG's LPIPS", lambda before, after, rival: worse_in_both(before, after)),
        ("photograph kept back", lambda before, after, rival: after.photograph and _kept_back(after)),
        (
            "Real-ESRGAN's VGG LPIPS is better by a tenth",
            lambda before, after, rival: rival is not None and rival.score.vgg < 0.9 * after.score.vgg - ALIKE,
        ),
        (
            "Real-ESRGAN's PSNR and VGG LPIPS are better",
            lambda before, after, rival: (
                rival is not None and rival.score.psnr > after.score.psnr and rival.score.vgg < after.score.vgg
            ),
        ),
    )
    for title, test in tests:
        found = [after for before, after in _pairs(records, way) if test(before, after, rivals.get(after.case))]
        if found:
            any_line = True
            yield f"- {title}: {len(found)} of {len(_of(records, way))}: {'; '.join(r.case for r in found)}"
    if not any_line:
        yield "- nothing found" if _of(records, way) else "- not measured"


def _kept_back(record: Record) -> bool:
    return record.group != CLEAN and record.status in NOT_DELIVERED


def _cases(records: Sequence[Record]) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for name, before in _of(records, GIVEN).items():
            found = {way: _of(records, way).get(name) for way in WAYS}
            yield [before.group, name, f"`{before.told}`", *(_cell(found[way]) for way in WAYS)]

    return _rows(["group", "case", "told", *NAMES.values()], rows())


def _cell(record: Record | None) -> str:
    if record is None:
        return ""
    status = "" if record.status in ("given", "restored", "enlarged") else f" {record.status}"
    return f"{record.score.psnr:.2f} / {record.score.lpips:.3f} / {record.score.vgg:.3f}{status}"
