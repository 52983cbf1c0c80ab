"""Cost against fidelity: a line for every method, its spread over scenes as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import plotly.graph_objects as go

from hgc.charts.look import layout

HEIGHT_PX = 420
# Okabe and Ito's set, which colour-blind people can tell apart.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#999999")


class Priced(Protocol):
    """A method at a budget: its share of full compute, and PSNR with its spread in dB."""

    @property
    def method(self) -> str: ...
    @property
    def share(self) -> float: ...
    @property
    def psnr(self) -> float: ...
    @property
    def psnr_spread(self) -> float: ...


def frontier_chart(points: Sequence[Priced], titles: Mapping[str, str]) -> go.Figure:
    """PSNR to the full run over the share of full compute, methods in the order of `titles`."""
    figure = go.Figure()
    for number, (method, title) in enumerate(titles.items()):
        own = sorted((point for point in points if point.method == method), key=lambda point: point.share)
        if not own:
            continue
        figure.add_scatter(
            x=[100 * point.share for point in own],
            y=[point.psnr for point in own],
            error_y={"type": "data", "array": [point.psnr_spread for point in own], "thickness": 1, "width": 3},
            name=title,
            mode="lines+markers",
            line={"color": COLOURS[number % len(COLOURS)], "dash": "dot" if method == "fewer_steps" else "solid"},
            hovertemplate=f"{title}: %{{y:.1f}} dB at %{{x:.1f}}%<extra></extra>",
        )
    figure.update_xaxes(title="share of full compute, %")
    figure.update_yaxes(title="PSNR to the full run, dB")
    return layout(figure, HEIGHT_PX)
