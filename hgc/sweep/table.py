"""A sweep as a table: a row for each run, CSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hgc.sweep.grid import Cell, Sweep

if TYPE_CHECKING:
    from hgc.sweep.run import Outcome

# Names to plain values: a number, a word, yes or no, or nothing.
Record = dict[str, Any]


def record(sweep: Sweep, cell: Cell, figures: Mapping[str, Any], refusal: str = "") -> Record:
    """A run: the values of the axes by name, its settings, its figures as `Comparison.figures` gives them."""
    request = cell.request
    places = zip(sweep.axes, (cell.column, cell.row), strict=False)
    settings = {"seed": request.seed, "steps": request.steps, "guidance": request.guidance, "method": request.method}
    by_hand = {} if request.budget is not None else request.cache.model_dump()
    axes = {axis.name: axis.values[place] for axis, place in places}
    return {**axes, **settings, "budget": request.budget, **by_hand, **figures, "refused": refusal or None}


def records(sweep: Sweep, outcomes: Iterable[Outcome]) -> dict[str, Record]:
    """One for each run that is there, by its key."""
    return {
        out.cell.key: record(sweep, out.cell, {} if out.comparison is None else out.comparison.figures(), out.refusal)
        for out in outcomes
    }


def columns(rows: Iterable[Record]) -> list[str]:
    """Every column that some row has, in the order in which they come up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def as_csv(rows: Sequence[Record]) -> str:
    """Nothing stands where a row has no value, as for the PSNR of pictures that agree in every bit."""
    text = StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_parquet(rows: Sequence[Record]) -> bytes:
    """The same table with typed columns; a column without any value is left out."""
    import fastparquet
    import pandas

    table = pandas.DataFrame(rows, columns=columns(rows)).dropna(axis="columns", how="all")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.parquet"
        fastparquet.write(str(path), table, compression="SNAPPY", write_index=False)
        return path.read_bytes()
