"""The findings of `deqir doctor`: a line for each check, and a remedy for each fault."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console

from flows.display.summary import plain


class Health(StrEnum):
    """The result of a check."""

    OK = "ok"
    NOTE = "note"
    """It works, but may not be intended."""
    WRONG = "wrong"
    """Jobs do not run, or do not run as they should."""


STYLES = {Health.OK: "green", Health.NOTE: "yellow", Health.WRONG: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The finding of a check.

    Attributes:
        health: The result of the check.
        subject: Name of the checked object, such as "work pool deqir".
        says: The finding, which continues a line after `subject`.
        do: The remedy; "" if there is nothing to do.
    """

    health: Health
    subject: str
    says: str
    do: str = ""


def ok(subject: str, says: str) -> Finding:
    return Finding(health=Health.OK, subject=subject, says=says)


def note(subject: str, says: str, do: str = "") -> Finding:
    return Finding(health=Health.NOTE, subject=subject, says=says, do=do)


def wrong(subject: str, says: str, do: str) -> Finding:
    return Finding(health=Health.WRONG, subject=subject, says=says, do=do)


def show(console: Console, findings: Iterable[Finding]) -> bool:
    """Print each finding as soon as it is known; return True if nothing is wrong."""
    well = True
    for finding in findings:
        well &= finding.health is not Health.WRONG
        line = plain(f"{finding.health:<5} {finding.subject}: {' '.join(finding.says.split())}")
        line.stylize(STYLES[finding.health], 0, 5)
        console.print(line, soft_wrap=True)
        if finding.do:
            console.print(plain(f"      do: {' '.join(finding.do.split())}"), soft_wrap=True)
    return well
