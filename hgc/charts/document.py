"""Charts as one HTML file that needs nothing else: plotly is inside, and works without a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.io import to_html

from hgc.cache.trace import Trace
from hgc.charts.attention import attention_chart
from hgc.charts.drift import drift_chart
from hgc.charts.look import FONT
from hgc.charts.spending import latency_chart, macs_chart
from hgc.charts.states import state_chart
from hgc.request import ArmName

STYLE = (
    f":root {{ color-scheme: light dark; }} body {{ font: 14px/1.5 {FONT}; max-width: 1100px; margin: 0 auto; "
    "padding: 24px 20px 60px; background: light-dark(#fff, #101318); color: light-dark(#232932, #e9ecf1); } "
    "h1 { font-size: 20px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 32px 0 2px; } "
    "p { margin: 0 0 10px; color: light-dark(#667080, #98a1af); }"
)
# The camera in the corner of a chart: a PNG from the reader's own browser, twice as fine as the screen.
CONFIG = {"responsive": True, "displaylogo": False, "toImageButtonOptions": {"format": "png", "scale": 2}}


@dataclass(frozen=True)
class Chart:
    """A figure, its heading and a line that says what it shows."""

    title: str
    aside: str
    figure: go.Figure


def charts_of(traces: Mapping[ArmName, Trace], titles: Mapping[ArmName, str]) -> list[Chart]:
    """Every chart of the last of these arms, beside the full one; how fast blocks change where that was observed."""
    full, (*_, arm) = traces["full"], traces
    trace = traces[arm]
    charts = [
        Chart("What every step computed", f"{titles[arm]}, block by block.", state_chart(trace, "blocks")),
        Chart("The same, site by site", "A site is a call whose output can be kept.", state_chart(trace, "sites")),
        Chart(
            "Attention from the cache",
            "Each layer's look at the words, by step: from the cache or computed; and the guidance branches.",
            attention_chart(trace),
        ),
        Chart("MACs of every step", "Without attention products, as the paper counts.", macs_chart(traces, titles)),
        Chart("MACs of every step, with attention", "Products included.", macs_chart(traces, titles, "full")),
        Chart("Time of every step", "Milliseconds in the denoiser, as measured.", latency_chart(traces, titles)),
    ]
    drift = drift_chart(full)
    if drift.data:
        charts.append(Chart("How fast blocks change", "In the full arm, from step to step.", drift))
    return charts


def as_page(title: str, about: str, charts: Sequence[Chart]) -> str:
    """A page of charts; light or dark as the reader's system is."""
    parts = []
    for number, chart in enumerate(charts):
        drawn = to_html(chart.figure, config=CONFIG, include_plotlyjs=number == 0, full_html=False)
        parts.append(f"<h2>{escape(chart.title)}</h2><p>{escape(chart.aside)}</p>{drawn}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(about)}</p>{''.join(parts)}</body></html>"
    )
