"""How every chart looks: colours that colour-blind people can tell apart, on a light page and on a dark one."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

FULL, CACHED, RIVAL = "#5b7fa6", "#e69f00", "#8b6fb0"
OF_ARM = {"full": FULL, "cached": CACHED, "rival": RIVAL}
QUIET = "rgba(128, 134, 148, 0.28)"
TEXT = "#7d8494"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
ROW_PX, EDGE_PX = 21, 96


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
