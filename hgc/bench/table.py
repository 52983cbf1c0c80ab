"""A benchmark's rows as a text table: words to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Row = TypeVar("Row")


def text_table(rows: Sequence[Row], columns: Sequence[tuple[str, Callable[[Row], str]]], words: int = 1) -> str:
    """A line for the titles and one for each row; the first `words` columns hold words.

    Each column is as wide as its widest cell. A column is its title and how its cell reads.
    """
    lines = [[title for title, _ in columns], *([cell(row) for _, cell in columns] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    sides = ["<" if i < words else ">" for i in range(len(columns))]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return "\n".join(form.format(*line) for line in lines)
