"""The cost of every step: MACs and milliseconds, both arms side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from hgc.cache.trace import Trace
from hgc.charts.look import CACHED, FULL, layout, steps_axis

Convention = Literal["paper", "full"]
HEIGHT_PX = 300


def macs_chart(full: Trace, cached: Trace, convention: Convention = "paper") -> go.Figure:
    """Billions of multiply-accumulates of every step, in one convention."""
    arms = [[getattr(macs, convention) / 1e9 for macs in trace.macs_per_step] for trace in (full, cached)]
    return _pairs(arms, "GMACs", "%{y:.2f} GMACs")


def latency_chart(full: Trace, cached: Trace) -> go.Figure:
    """Milliseconds spent in the denoiser in every step, as measured."""
    return _pairs([list(full.step_ms), list(cached.step_ms)], "ms", "%{y:.1f} ms")


def _pairs(arms: Sequence[Sequence[float]], unit: str, value: str) -> go.Figure:
    bars = [
        go.Bar(
            x=list(range(1, len(values) + 1)),
            y=list(values),
            name=name,
            marker={"color": colour, "cornerradius": 2},
            hovertemplate=f"{name}, step %{{x}}: {value}<extra></extra>",
        )
        for name, colour, values in zip(("Full", "Cached"), (FULL, CACHED), arms, strict=True)
    ]
    figure = go.Figure(bars)
    figure.update_xaxes(steps_axis(max(len(values) for values in arms)))
    figure.update_yaxes(title=unit, rangemode="tozero")
    # A step is its whole column, the gaps between its bars included: that is what is hovered over and clicked.
    return layout(figure, HEIGHT_PX, barmode="group", bargap=0.25, bargroupgap=0.08, hovermode="x")
