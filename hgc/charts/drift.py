"""How fast every block changes from step to step: in one run that computes everything, and over many pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from hgc.cache.anatomy import Anatomy, Kind
from hgc.cache.trace import Trace
from hgc.calibration.curves import ChangeCurves
from hgc.charts.look import layout, steps_axis
from hgc.charts.plan_grid import PlanGrid
from hgc.charts.rows import ChartRow, block_rows

HEIGHT_PX = 460

# The encoder is cold, the decoder warm; each is at least three times as light or as dark as either background.
ENCODER = ("#3d96cc", "#4a7ae0", "#7a68d8", "#a35fc4", "#8a8f9c", "#2f8f8f")
MIDDLE = ("#009e73",)
DECODER = ("#b8450c", "#d55e00", "#bf8300", "#c65a78", "#a67c52")
# The legend stands below, where it may take as many lines as it needs.
LEGEND = {
    "xref": "paper",
    "x": 0,
    "yref": "paper",
    "y": -0.16,
    "yanchor": "top",
    "font": {"size": 11},
    "entrywidth": 112,
}
UNDRAWN = (Kind.BRANCH, Kind.CONDITION, Kind.PREDICTION)


def drift_chart(trace: Trace) -> go.Figure:
    """Relative L1 change of each block's sites against the step before, in percent; needs an observed run."""
    figure = go.Figure()
    seen: Counter[tuple[bool, tuple[str, ...]]] = Counter()
    for row in block_rows(trace):
        curve = [row_drift(trace, row, step) for step in range(trace.steps)]
        if not any(curve) or row.main[0].kind in (Kind.BRANCH, Kind.CONDITION, Kind.PREDICTION):
            continue
        place = place_of(row)
        figure.add_trace(drift_line(row, curve, seen[place]))
        seen[place] += 1
    figure.update_xaxes(steps_axis(trace.steps))
    figure.update_yaxes(title="change since the step before", tickformat=".0%", rangemode="tozero")
    return layout(figure, HEIGHT_PX, hovermode="closest", legend=LEGEND)


def row_drift(trace: Trace, row: ChartRow, step: int) -> float | None:
    """Mean over the row's outer sites of their relative change; None where none was measured."""
    drifts = [d for site in row.main if (d := trace.cells[site.name][step].drift) is not None]
    return sum(drifts) / len(drifts) if drifts else None


def place_of(row: ChartRow) -> tuple[bool, tuple[str, ...]]:
    """Whether it belongs to a ControlNet, and the colours of its part, from the outermost block to the innermost."""
    control = row.title.startswith("ControlNet")
    if " middle" in row.title:
        return control, MIDDLE
    return control, ENCODER if control or " down" in row.title or row.title.endswith("input") else DECODER


def drift_line(
    row: ChartRow, curve: Sequence[float | None], number: int, spread: Sequence[float] | None = None
) -> go.Scatter:
    """A block's change by step, the `number`-th of its part; `spread` is told on hovering.

    A block of the control's copy of the encoder has the colour of the block that it copies, dotted.
    """
    control, colours = place_of(row)
    more = "" if spread is None else " ± %{customdata:.1%}"
    return go.Scatter(
        x=list(range(1, len(curve) + 1)),
        y=curve,
        name=row.title,
        mode="lines",
        line={
            "color": colours[number % len(colours)],
            "width": 1.5 if control else 2,
            "dash": "dot" if control else "solid",
        },
        customdata=spread,
        hovertemplate=f"{row.title}, step %{{x}}: %{{y:.1%}}{more}<extra></extra>",
    )


def curves_chart(curves: ChangeCurves, anatomy: Anatomy) -> go.Figure:
    """Mean relative L1 change of each block's outer layers against the step before, in percent, with its spread."""
    figure, seen = go.Figure(), Counter[tuple[bool, tuple[str, ...]]]()
    for row in PlanGrid(anatomy).rows.values():
        names = [site.name for site in row.main if site.name in curves.mean and site.kind not in UNDRAWN]
        if not names:
            continue
        place = place_of(row)
        mean, spread = _mean(curves.mean, names), _mean(curves.spread, names)
        # The first step has nothing before it.
        figure.add_trace(drift_line(row, [None, *mean[1:]], seen[place], spread))
        seen[place] += 1
    figure.update_xaxes(steps_axis(curves.subject.steps))
    figure.update_yaxes(title="change since the step before", tickformat=".0%", rangemode="tozero")
    return layout(figure, HEIGHT_PX, hovermode="closest", legend=LEGEND)


def _mean(of: Mapping[str, tuple[float, ...]], names: list[str]) -> list[float]:
    """Step by step over these sites."""
    return [sum(values) / len(names) for values in zip(*(of[name] for name in names), strict=True)]
