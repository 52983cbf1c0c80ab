"""The colours of a cell's states in every chart that has cells, their order, and their legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from hgc.charts.look import QUIET


@dataclass(frozen=True)
class Shade:
    """One state of a cell in a chart: its word in the legend and its colour (Okabe and Ito's set)."""

    word: str
    colour: str


COMPUTED = Shade("computed", "#0072b2")
PARTLY = Shade("computed in part", "#56b4e9")
REUSED = Shade("reused", "#e69f00")
FORECAST = Shade("forecast", "#cc79a7")
DEAD = Shade("not needed", QUIET)
ABSENT = Shade("not there", "rgba(128, 134, 148, 0.07)")


def cells(
    x: Sequence[int], y: Sequence[str], shades: Sequence[Sequence[Shade]], hover: Sequence[Sequence[str]]
) -> list[Any]:
    """A table of coloured cells [rows, steps], and a legend of the shades that occur in it."""
    known = (COMPUTED, PARTLY, REUSED, FORECAST, DEAD, ABSENT)
    top = len(known) - 1
    scale = [[edge, shade.colour] for i, shade in enumerate(known) for edge in (i / (top + 1), (i + 1) / (top + 1))]
    table = go.Heatmap(
        x=list(x),
        y=list(y),
        z=[[known.index(shade) for shade in row] for row in shades],
        zmin=-0.5,
        zmax=top + 0.5,
        colorscale=scale,
        showscale=False,
        xgap=2,
        ygap=2,
        text=[list(row) for row in hover],
        hovertemplate="%{text}<extra></extra>",
        name="cells",
    )
    present = {shade for row in shades for shade in row}
    return [table, *(_legend_entry(shade) for shade in known if shade in present)]


def _legend_entry(shade: Shade) -> go.Scatter:
    marker = {"symbol": "square", "size": 12, "color": shade.colour}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=shade.word, hoverinfo="skip")
