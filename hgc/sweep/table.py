"""A sweep as a table, a row for each run: CSV, Parquet, and the points of the chart."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hgc.charts.pareto import Point
from hgc.planning.methods import arm_titles
from hgc.sweep.axis import Axis
from hgc.sweep.grid import Sweep, SweepCell

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison
    from hgc.sweep.run import Outcome

# Names to plain values: a number, a word, yes or no, or nothing.
RunRow = dict[str, Any]


def record(sweep: Sweep, cell: SweepCell, figures: Mapping[str, Any], refusal: str = "") -> RunRow:
    """A run: the values of the axes by name, its settings, its figures as `Comparison.figures` gives them."""
    request = cell.request
    places = zip(sweep.axes, (cell.column, cell.row), strict=False)
    settings = {"seed": request.seed, "steps": request.steps, "guidance": request.guidance, "method": request.method}
    by_hand = {} if request.budget is not None or request.at_least is not None else asdict(request.cache)
    axes = {axis.name: axis.values[place] for axis, place in places}
    return {**axes, **settings, "budget": request.budget, **by_hand, **figures, "refused": refusal or None}


def figures_of(comparison: Comparison) -> dict[str, Any]:
    """Every figure, and the processor that it was drawn on: in a sweep over several machines these may differ."""
    return comparison.figures() | {"processor": comparison.made.processor}


def records(sweep: Sweep, outcomes: Iterable[Outcome]) -> dict[str, RunRow]:
    """One for each run that is there, by its key."""
    return {
        out.cell.key: record(sweep, out.cell, {} if out.comparison is None else figures_of(out.comparison), out.refusal)
        for out in outcomes
    }


def columns(rows: Iterable[RunRow]) -> list[str]:
    """Every column that some row has, in the order in which they come up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def as_csv(rows: Sequence[RunRow]) -> str:
    """Nothing stands where a row has no value, as for the PSNR of pictures that agree in every bit."""
    text = StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_parquet(rows: Sequence[RunRow]) -> bytes:
    """The same table with typed columns; a column without any value is left out."""
    import fastparquet
    import pandas

    table = pandas.DataFrame(rows, columns=columns(rows)).dropna(axis="columns", how="all")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.parquet"
        fastparquet.write(str(path), table, compression="SNAPPY", write_index=False)
        return path.read_bytes()


@dataclass(frozen=True)
class Layout:
    """The axis along which a curve runs, and the one that tells the curves apart; seed is neither."""

    along: Axis | None
    across: Axis | None

    @classmethod
    def of(cls, sweep: Sweep) -> Layout:
        """The first axis of numbers runs along the curves; the other one, or one of words, tells them apart."""
        axes = [axis for axis in sweep.axes if axis.name != "seed"]
        along = next((axis for axis in axes if axis.setting.kind is not str), None)
        return cls(along, next((axis for axis in axes if axis is not along), None))


def points(sweep: Sweep, rows: Mapping[str, RunRow]) -> list[Point]:
    """A point for each cached picture and each rival's, from the runs' records by key."""
    layout, dots = Layout.of(sweep), list[Point]()
    for cell in sweep.cells:
        row = rows.get(cell.key)
        if row is None or row["refused"]:
            continue
        along, across = _words(sweep, cell, layout.along), _words(sweep, cell, layout.across)
        dots.append(_point(row, "cached", across or arm_titles(cell.request)["cached"], along, cell.key))
        if row.get("rival"):
            # Only what changes the picture itself sets one rival apart from another at the same cost.
            apart = across if layout.across is not None and layout.across.setting.decides == "picture" else ""
            place = "at the cost of " + _listed(along, across)
            dots.append(_point(row, "rival", _listed(arm_titles(cell.request)["rival"], apart), place, cell.key))
    return dots


def _listed(*words: str) -> str:
    return ", ".join(word for word in words if word)


def _words(sweep: Sweep, cell: SweepCell, axis: Axis | None) -> str:
    if axis is None:
        return ""
    label = axis.labels[cell.column if axis is sweep.x else cell.row]
    return label if axis.name == "method" else f"{axis.setting.title} {label}"


def _point(row: RunRow, arm: str, series: str, place: str, key: str) -> Point:
    rival = arm == "rival"
    psnr, ssim, seen = (row[f"{name}_rival" if rival else name] for name in ("psnr", "ssim", "perceptual"))
    score = row[f"control_score_{arm}"]
    return Point(
        series=series,
        place=place,
        key=key,
        share=row[f"macs_{arm}"] / row["macs_full"],
        macs=row[f"macs_{arm}"],
        latency_ms=row[f"latency_ms_{arm}"],
        psnr=inf if psnr is None else psnr,
        ssim=ssim,
        perceptual=nan if seen is None else seen,
        control_score=nan if score is None else score,
        rival=rival,
    )
