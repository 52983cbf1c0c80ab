"""How a block's layers change, by a calibration: step by step with its spread, and piled up since last computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go

from hgc.cache.anatomy import State
from hgc.cache.trace import Trace, TracedSite
from hgc.calibration.curves import ChangeCurves
from hgc.charts.look import TEXT, layout, steps_axis
from hgc.charts.rows import ChartRow, block_rows, site_title

HEIGHT_PX = 330
MARGIN_OF_DELTA_PX = 76
# Okabe and Ito's, without black and yellow, which one of the two backgrounds swallows.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")


def changing_rows(trace: Trace, curves: ChangeCurves) -> list[ChartRow]:
    """The blocks that have layers which were calibrated, and which change at all."""
    return [row for row in block_rows(trace) if any(any(curves.mean.get(site.name, ())) for site in row.main)]


def most_piled(rows: Sequence[ChartRow], trace: Trace, curves: ChangeCurves) -> ChartRow:
    """The block with the layer in which most change piles up; of those with a colour for every layer, if any."""

    def piled(row: ChartRow) -> tuple[bool, float]:
        known = [site.name for site in row.main if site.name in curves.mean]
        return len(known) <= len(COLOURS), max(max(accumulated(name, trace, curves)) for name in known)

    return max(rows, key=piled)


def change_chart(row: ChartRow, curves: ChangeCurves) -> go.Figure:
    """Relative L1 change of each layer's output since the step before; the band is one standard deviation of scenes."""
    figure = go.Figure()
    steps = list(range(2, curves.subject.steps + 1))  # the first has nothing before it
    for site, colour in _coloured(row, curves):
        mean, spread = curves.mean[site.name][1:], curves.spread[site.name][1:]
        title = site_title(site)
        ends = (
            [low - wide for low, wide in zip(mean, spread, strict=True)],
            [high + wide for high, wide in zip(mean, spread, strict=True)],
        )
        figure.add_trace(_band(steps, ends, colour, title))
        figure.add_trace(_line(steps, mean, colour, title, f"{title}, step %{{x}}: %{{y:.1%}}"))
    return _finished(figure, row, curves, "change since the step before")


def accumulated_chart(row: ChartRow, trace: Trace, curves: ChangeCurves, delta: float | None) -> go.Figure:
    """The same change added up since the layer was last computed, which a dot marks; `delta` is the threshold."""
    figure = go.Figure()
    for site, colour in _coloured(row, curves):
        title, cells = site_title(site), trace.cells[site.name]
        x: list[int] = []
        y: list[float] = []
        sizes: list[int] = []
        for step, (gone, cell) in enumerate(zip(accumulated(site.name, trace, curves), cells, strict=True), 1):
            fresh = cell.state is State.COMPUTED
            x += [step, step] if fresh else [step]
            y += [gone, 0.0] if fresh else [gone]
            sizes += [8, 0] if fresh else [0]
        line = _line(x, y, colour, title, f"{title}, step %{{x}}: %{{y:.1%}}")
        figure.add_trace(line.update(mode="lines+markers", marker={"size": sizes, "line": {"width": 0}}))
    if delta is not None:
        dashed = {"color": TEXT, "width": 1.5, "dash": "dash"}
        figure.add_shape(type="line", xref="paper", x0=0, x1=1, y0=delta, y1=delta, line=dashed)
        # Beside the plot: inside it the layers' lines would cross the words.
        name = {"text": f"δ = {delta:.3g}", "font": {"size": 12}, "showarrow": False}
        figure.add_annotation(name, xref="paper", x=1, xanchor="left", y=delta)
    finished = _finished(figure, row, curves, "change since last computed")
    return finished if delta is None else finished.update_layout(margin_r=MARGIN_OF_DELTA_PX)


def accumulated(site: str, trace: Trace, curves: ChangeCurves) -> list[float]:
    """A site's calibrated change up to each step since it was computed before that step; 0 in the first."""
    gone, sums = 0.0, []
    for cell, change in zip(trace.cells[site], curves.of(site), strict=True):
        gone += change
        sums.append(gone)
        if cell.state is State.COMPUTED:
            gone = 0.0
    return sums


def _coloured(row: ChartRow, curves: ChangeCurves) -> Iterator[tuple[TracedSite, str]]:
    known = [site for site in row.main if site.name in curves.mean]
    return ((site, COLOURS[number % len(COLOURS)]) for number, site in enumerate(known))


def _line(x: Sequence[int], y: Sequence[float], colour: str, title: str, hover: str) -> go.Scatter:
    return go.Scatter(
        x=list(x),
        y=list(y),
        name=title,
        legendgroup=title,
        mode="lines",
        line={"color": colour, "width": 2},
        hovertemplate=f"{hover}<extra></extra>",
    )


def _band(steps: Sequence[int], ends: tuple[list[float], list[float]], colour: str, title: str) -> go.Scatter:
    low, high = ends
    return go.Scatter(
        x=[*steps, *reversed(steps)],
        y=[*high, *reversed(low)],
        fill="toself",
        fillcolor=colour,
        opacity=0.16,
        line={"width": 0},
        name=title,
        legendgroup=title,
        showlegend=False,
        hoverinfo="skip",
    )


def _finished(figure: go.Figure, row: ChartRow, curves: ChangeCurves, title: str) -> go.Figure:
    """Where colours repeat, only hovering tells the layers apart: a legend would fill the chart and mislead."""
    few = sum(site.name in curves.mean for site in row.main) <= len(COLOURS)
    figure.update_layout(showlegend=few)
    figure.update_xaxes(steps_axis(curves.subject.steps))
    figure.update_yaxes(title=title, tickformat=".0%", rangemode="tozero")
    return layout(figure, HEIGHT_PX, hovermode="closest")
