"""How every chart looks, on a light page and on a dark one: colours that colour-blind people can tell apart, axes,
layout, and tables of cells in the colours of their states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

FULL, CACHED, RIVAL = "#5b7fa6", "#e69f00", "#8b6fb0"
OF_ARM = {"full": FULL, "cached": CACHED, "rival": RIVAL}
QUIET = "rgba(128, 134, 148, 0.28)"
TEXT = "#7d8494"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
ROW_PX, EDGE_PX = 21, 96


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


def steps_axis(steps: int, **more: Any) -> dict[str, Any]:
    """Steps are counted from 1 for people."""
    stride = 1 if steps <= 8 else 5 if steps <= 30 else 10
    ticks = sorted({1, *range(stride, steps + 1, stride)})
    return {"title": "step", "range": [0.4, steps + 0.6], "tickvals": ticks, "tickangle": 0} | more


def layout(figure: go.Figure, height_px: int, **more: Any) -> go.Figure:
    """Transparent, calm, and readable on both backgrounds."""
    figure.update_layout(
        height=height_px,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"family": FONT, "size": 12, "color": TEXT},
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        legend={
            "orientation": "h",
            "xref": "container",
            "x": 0,
            "xanchor": "left",
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "font": {"size": 12},
        },
        hoverlabel={
            "bgcolor": "#1d2430",
            "bordercolor": "#1d2430",
            "align": "left",
            "font": {"family": FONT, "size": 12, "color": "#f4f6fa"},
        },
        modebar={"remove": ["zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale", "resetScale"]},
        dragmode=False,
    )
    figure.update_layout(**more)
    figure.update_xaxes(
        fixedrange=True, showgrid=False, zeroline=False, ticks="", automargin=True, title_font_size=12, title_standoff=6
    )
    figure.update_yaxes(fixedrange=True, gridcolor="rgba(128, 134, 148, 0.18)", zeroline=False, automargin=True)
    return figure


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
