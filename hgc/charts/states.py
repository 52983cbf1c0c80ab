"""The table as executed: steps x blocks, or steps x sites, each cell in the colour of what became of it."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import plotly.graph_objects as go

from hgc.cache.anatomy import State
from hgc.cache.trace import Cell, Trace
from hgc.charts.look import (
    ABSENT,
    COMPUTED,
    DEAD,
    EDGE_PX,
    FORECAST,
    PARTLY,
    REUSED,
    ROW_PX,
    Shade,
    cells,
    layout,
    steps_axis,
)
from hgc.charts.quantity import giga
from hgc.charts.rows import ChartRow, block_rows, site_rows

Detail = Literal["blocks", "sites"]
SHADES = {
    State.COMPUTED: COMPUTED,
    State.REUSED: REUSED,
    State.FORECAST: FORECAST,
    State.DEAD: DEAD,
    State.ABSENT: ABSENT,
}


def state_chart(trace: Trace, detail: Detail = "blocks") -> go.Figure:
    """Heatmap steps x rows; hovering gives the reason, MACs, milliseconds, age and drift."""
    rows = block_rows(trace) if detail == "blocks" else site_rows(trace)
    shades = [[shade_of(trace, row, step) for step in range(trace.steps)] for row in rows]
    hover = [
        [_hover(trace, row, step, shade) for step, shade in enumerate(line)]
        for row, line in zip(rows, shades, strict=True)
    ]
    figure = go.Figure(cells(range(1, trace.steps + 1), [row.title for row in rows], shades, hover))
    figure.update_xaxes(steps_axis(trace.steps))
    figure.update_yaxes(autorange="reversed", ticklabelstandoff=4)
    return layout(figure, ROW_PX * len(rows) + EDGE_PX).update_yaxes(showgrid=False)


def shade_of(trace: Trace, row: ChartRow, step: int) -> Shade:
    """One shade for a row; a block of several sites can be computed in part."""
    states = Counter(trace.cells[site.name][step].state for site in row.main)
    if len(states) == 1:
        return SHADES[next(iter(states))]
    if states[State.COMPUTED]:
        return PARTLY
    for state in (State.FORECAST, State.REUSED, State.DEAD):
        if states[state]:
            return SHADES[state]
    return ABSENT


def _hover(trace: Trace, row: ChartRow, step: int, shade: Shade) -> str:
    lines = [f"<b>{row.title}</b>", f"step {step + 1}: {shade.word}"]
    main = [trace.cells[site.name][step] for site in row.main]
    everything = [trace.cells[name][step] for name in row.names]
    if len({cell.reason for cell in main}) == 1:
        lines.append(main[0].reason)
    elif shade not in (COMPUTED, DEAD, ABSENT):
        counts = Counter(SHADES[cell.state].word for cell in main)
        lines.append(", ".join(f"{count} {word}" for word, count in counts.items()))
        lines.append(_kept_reason(main))
    else:
        lines.append(Counter(cell.reason for cell in main).most_common(1)[0][0])
    lines += _figures(main, everything)
    return "<br>".join(line for line in lines if line)


def _kept_reason(main: list[Cell]) -> str:
    return next((cell.reason for cell in main if cell.state in (State.REUSED, State.FORECAST)), "")


def _figures(main: list[Cell], everything: list[Cell]) -> list[str]:
    """MACs are each site's own; milliseconds include the sites inside, so that only the outer ones are added up."""
    lines = []
    paper, full = sum(cell.macs_paper for cell in everything), sum(cell.macs_full for cell in everything)
    latency_ms = sum(cell.latency_ms for cell in main)
    if full:
        lines.append(f"{giga(paper)} MACs paper, {giga(full)} full")
    if latency_ms:
        lines.append(f"{latency_ms:.2f} ms")
    if ages := [cell.age for cell in main if cell.age]:
        lines.append(f"value is {max(ages)} step{'s' if max(ages) > 1 else ''} old")
    if drifts := [cell.drift for cell in main if cell.drift is not None]:
        fresh = all(cell.state is State.COMPUTED for cell in main)
        moved = "changed by {:.1%} since last computed" if fresh else "in the full arm it moved by {:.1%} since then"
        lines.append(moved.format(max(drifts)))
    if errors := [cell.forecast_error for cell in main if cell.forecast_error is not None]:
        lines.append(f"its forecast would have been {max(errors):.1%} off")
    return lines
