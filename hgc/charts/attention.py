"""The attention cache: every cross-attention in every step, from the cache or computed, and the branches that ran."""

from __future__ import annotations

from collections import Counter

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hgc.cache.anatomy import Kind, State
from hgc.cache.trace import Trace, TracedSite
from hgc.charts.look import ABSENT, COMPUTED, DEAD, EDGE_PX, QUIET, REUSED, ROW_PX, Shade, cells, layout, steps_axis
from hgc.charts.rows import block_title

HIT, MISS, UNASKED = Shade("hit", REUSED.colour), Shade("miss", COMPUTED.colour), DEAD
_ANSWERS = {
    State.COMPUTED: COMPUTED,
    State.REUSED: REUSED,
    State.FORECAST: REUSED,
    State.DEAD: DEAD,
    State.ABSENT: ABSENT,
}
_WORDS = {COMPUTED: "miss: computed", REUSED: "hit: from the cache", DEAD: "not asked for", ABSENT: "not there"}
_LEGEND = {COMPUTED.word: "miss", REUSED.word: "hit", DEAD.word: "not asked for", ABSENT.word: "not there"}


def attention_chart(trace: Trace) -> go.Figure:
    """Above, how many guidance branches each step ran; below, hits and misses of every layer x step."""
    layers = [site for site in trace.sites if site.kind is Kind.CROSS_ATTENTION]
    steps = range(1, trace.steps + 1)
    height_px = ROW_PX * (len(layers) + 2) + EDGE_PX
    share = ROW_PX / (height_px - EDGE_PX)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[share, 1 - share], vertical_spacing=0.02)
    figure.add_trace(_branches(trace), row=1, col=1)
    shades = [[_ANSWERS[cell.state] for cell in trace.cells[site.name]] for site in layers]
    hover = [[_hover(trace, site, step) for step in range(trace.steps)] for site in layers]
    for part in cells(steps, layer_titles(layers), shades, hover):
        part.name = _LEGEND.get(part.name, part.name)
        figure.add_trace(part, row=2, col=1)
    figure.update_xaxes(steps_axis(trace.steps), row=2, col=1)
    figure.update_xaxes(showticklabels=False, range=[0.4, trace.steps + 0.6], row=1, col=1)
    figure.update_yaxes(autorange="reversed", ticklabelstandoff=4, row=2, col=1)
    figure.update_yaxes(ticklabelstandoff=4, row=1, col=1)
    return layout(figure, height_px).update_yaxes(showgrid=False)


def layer_titles(layers: list[TracedSite]) -> list[str]:
    """Where each cross-attention sits: the block, and a number where the block has several."""
    several = Counter(site.block for site in layers)
    seen: Counter[str] = Counter()
    titles = []
    for site in layers:
        seen[site.block] += 1
        titles.append(block_title(site.block) + (f" · {seen[site.block]}" if several[site.block] > 1 else ""))
    return titles


def _branches(trace: Trace) -> go.Heatmap:
    return go.Heatmap(
        x=list(range(1, trace.steps + 1)),
        y=["Branches run"],
        z=[list(trace.branches)],
        zmin=0,
        zmax=2,
        colorscale=[[0, QUIET], [1, QUIET]],
        showscale=False,
        xgap=2,
        ygap=2,
        text=[[str(count) for count in trace.branches]],
        texttemplate="%{text}",
        textfont={"size": 10},
        hovertemplate="step %{x}: %{z} guidance branch(es)<extra></extra>",
        name="branches",
    )


def _hover(trace: Trace, site: TracedSite, step: int) -> str:
    cell = trace.cells[site.name][step]
    lines = [f"<b>{site.name}</b>", f"step {step + 1}: {_WORDS[_ANSWERS[cell.state]]}", cell.reason]
    if cell.age:
        lines.append(f"value is {cell.age} step{'s' if cell.age > 1 else ''} old")
    return "<br>".join(line for line in lines if line)
