"""Change curves of a calibration: how far every block moves from step to step, over many pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import plotly.graph_objects as go

from hgc.cache.anatomy import Anatomy, Kind
from hgc.calibration.curves import ChangeCurves
from hgc.charts.drift import HEIGHT_PX, LEGEND, drift_line, place_of
from hgc.charts.look import layout, steps_axis
from hgc.charts.plan_grid import PlanGrid

UNDRAWN = (Kind.BRANCH, Kind.CONDITION, Kind.PREDICTION)


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
