"""The cost of every step: MACs and milliseconds, arms side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import plotly.graph_objects as go

from hgc.cache.trace import Trace
from hgc.charts.look import OF_ARM, layout, steps_axis
from hgc.request import ArmName

Convention = Literal["paper", "full"]
HEIGHT_PX = 300


def macs_chart(
    traces: Mapping[ArmName, Trace], titles: Mapping[ArmName, str], convention: Convention = "paper"
) -> go.Figure:
    """Billions of multiply-accumulates of every step, in one convention."""
    spent = {arm: [getattr(macs, convention) / 1e9 for macs in traces[arm].macs_per_step] for arm in traces}
    return _bars(spent, titles, "GMACs", "%{y:.2f} GMACs")


def latency_chart(traces: Mapping[ArmName, Trace], titles: Mapping[ArmName, str]) -> go.Figure:
    """Milliseconds spent in the denoiser in every step, as measured."""
    return _bars({arm: traces[arm].step_ms for arm in traces}, titles, "ms", "%{y:.1f} ms")


def _bars(spent: Mapping[ArmName, Sequence[float]], titles: Mapping[ArmName, str], unit: str, value: str) -> go.Figure:
    bars = [
        go.Bar(
            x=list(range(1, len(values) + 1)),
            y=list(values),
            name=titles[arm],
            marker={"color": OF_ARM[arm], "cornerradius": 2},
            hovertemplate=f"{titles[arm]}, step %{{x}}: {value}<extra></extra>",
        )
        for arm, values in spent.items()
    ]
    figure = go.Figure(bars)
    figure.update_xaxes(steps_axis(max(len(values) for values in spent.values())))
    figure.update_yaxes(title=unit, rangemode="tozero")
    # A step is its whole column, the gaps between its bars included: that is what is hovered over and clicked.
    more = {"barmode": "group", "bargap": 0.25, "bargroupgap": 0.08, "hovermode": "x", "showlegend": True}
    return layout(figure, HEIGHT_PX, **more)
