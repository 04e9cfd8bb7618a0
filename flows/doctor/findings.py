"""What `deqir doctor` finds: each check's one line, and what to do where something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console

from flows.display.summary import plain


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Works, but somebody may have meant it otherwise."""
    WRONG = "wrong"
    """Jobs do not run, or not as they should."""


STYLES = {Health.OK: "green", Health.NOTE: "yellow", Health.WRONG: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        health: How it is.
        what: The thing, such as "work pool deqir".
        says: What was found.
        do: What to do about it; "" where there is nothing to do.
    """

    health: Health
    what: str
    says: str
    do: str = ""


def ok(what: str, says: str) -> Finding:
    return Finding(health=Health.OK, what=what, says=says)


def note(what: str, says: str, do: str = "") -> Finding:
    return Finding(health=Health.NOTE, what=what, says=says, do=do)


def wrong(what: str, says: str, do: str) -> Finding:
    return Finding(health=Health.WRONG, what=what, says=says, do=do)


def show(console: Console, findings: Iterable[Finding]) -> bool:
    """Print each finding as soon as it is there; return whether nothing is wrong."""
    well = True
    for finding in findings:
        well &= finding.health is not Health.WRONG
        line = plain(f"{finding.health:<5} {finding.what}: {' '.join(finding.says.split())}")
        line.stylize(STYLES[finding.health], 0, 5)
        console.print(line, soft_wrap=True)
        if finding.do:
            console.print(plain(f"      do: {' '.join(finding.do.split())}"), soft_wrap=True)
    return well
