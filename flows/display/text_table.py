"""Columns of plain text: nothing is cut in a pipe, and a narrow terminal folds long lines."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rich.text import Text

from .summary import plain


def columns(rows: Sequence[tuple[str, ...]], *, left: Container[int]) -> list[Text]:
    """Return the lines of a table; each column is as wide as its widest cell.

    Args:
        rows: The heading, then the lines; all of them have as many cells.
        left: Numbers of flush-left columns, from 0; all other columns hold numbers.
    """
    shown = [[plain(cell).plain for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        Text(
            " ".join(
                cell.ljust(width) if n in left else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
        for row in shown
    ]
