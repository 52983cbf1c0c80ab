"""A sweep's runs as points of the chart: which runs are one curve, and which differ by their seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan

from hgc.charts.pareto import Point
from hgc.planning.methods import arm_titles
from hgc.sweep.axis import Axis
from hgc.sweep.grid import Cell, Sweep
from hgc.sweep.table import Record


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


def points(sweep: Sweep, rows: Mapping[str, Record]) -> list[Point]:
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


def _words(sweep: Sweep, cell: Cell, axis: Axis | None) -> str:
    if axis is None:
        return ""
    label = axis.labels[cell.column if axis is sweep.x else cell.row]
    return label if axis.name == "method" else f"{axis.setting.title} {label}"


def _point(row: Record, arm: str, series: str, place: str, key: str) -> Point:
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
