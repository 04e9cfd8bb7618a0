"""The common part of the benchmarks' commands: their options, their prior and the folder of their results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from deqir import Prior, load_prior
from deqir.models import fetch_model
from deqir.priors import FETCHABLE

RESULTS: Final = Path(__file__).parent / "results"


def parser_of(description: str | None, *, prior: str = "ffdnet") -> argparse.ArgumentParser:
    """Return a parser of the option --prior."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default=prior, help="a prior's name or folder")
    return parser


def parser_of_tables(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options --prior, --out, --quick and --table."""
    parser = parser_of(description)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="small pictures, few settings: a smoke run")
    parser.add_argument("--table", action="append", help="measure this table alone (may be given again)")
    return parser


def prior_of(name: str, *, device: str = "cpu") -> Prior:
    """Return a prior, downloaded if it is fetchable and not in the cache."""
    if name in FETCHABLE:
        fetch_model(name)
    return load_prior(name, device=device)
