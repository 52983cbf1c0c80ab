"""The attention cache: every cross-attention in every step, from the cache or computed, and the branches that ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hgc.cache.anatomy import Kind, State
from hgc.cache.trace import Trace, TracedSite
from hgc.charts.look import ABSENT, COMPUTED, DEAD, EDGE_PX, QUIET, REUSED, ROW_PX, Shade, cells, layout, steps_axis
from hgc.charts.rows import block_title

BARS_PX = 72
_ANSWERS = {
    State.COMPUTED: COMPUTED,
    State.REUSED: REUSED,
    State.FORECAST: REUSED,
    State.DEAD: DEAD,
    State.ABSENT: ABSENT,
}
_WORDS = {COMPUTED: "miss: computed", REUSED: "hit: from the cache", DEAD: "not asked for", ABSENT: "not there"}
_LEGEND = {
    COMPUTED.word: "computed (miss)",
    REUSED.word: "from the cache (hit)",
    DEAD.word: "not asked for",
    ABSENT.word: "not there",
}


def attention_chart(trace: Trace) -> go.Figure:
    """From the top: how many layers each step answered from the cache and how many it computed, the guidance branches
    it ran, and hits and misses of every layer x step.
    """
    layers = [site for site in trace.sites if site.kind is Kind.CROSS_ATTENTION]
    heights_px = (BARS_PX, ROW_PX, ROW_PX * (len(layers) + 1))
    shares = [height / sum(heights_px) for height in heights_px]
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, row_heights=shares, vertical_spacing=0.02)
    shades = [[_ANSWERS[cell.state] for cell in trace.cells[site.name]] for site in layers]
    for bar in _bars(shades, trace.steps):
        figure.add_trace(bar, row=1, col=1)
    figure.add_trace(_branches(trace), row=2, col=1)
    hover = [[_hover(trace, site, step) for step in range(trace.steps)] for site in layers]
    for part in cells(range(1, trace.steps + 1), layer_titles(layers), shades, hover):
        part.name = _LEGEND.get(part.name, part.name)
        figure.add_trace(part, row=3, col=1)
    figure.update_xaxes(steps_axis(trace.steps), row=3, col=1)
    for row in (1, 2):
        figure.update_xaxes(showticklabels=False, range=[0.4, trace.steps + 0.6], row=row, col=1)
    figure.update_yaxes(autorange="reversed", row=3, col=1)
    figure.update_yaxes(ticklabelstandoff=4, showgrid=False)
    figure.update_yaxes(title={"text": "layers", "font": {"size": 12}}, nticks=3, row=1, col=1)
    return layout(figure, sum(heights_px) + EDGE_PX, barmode="stack", bargap=0.25).update_yaxes(showgrid=False)


def _bars(shades: Sequence[Sequence[Shade]], steps: int) -> list[go.Bar]:
    """For every step the layers answered from the cache, and on top of them those computed."""
    return [
        go.Bar(
            x=list(range(1, steps + 1)),
            y=[sum(row[step] is shade for row in shades) for step in range(steps)],
            name=word,
            showlegend=False,
            marker={"color": shade.colour},
            hovertemplate=f"step %{{x}}: %{{y}} layers {word}<extra></extra>",
        )
        for shade, word in ((REUSED, "from the cache"), (COMPUTED, "computed"))
    ]


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
