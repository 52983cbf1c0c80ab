"""The cost of pictures against how like the full one they are: a curve for each series, a band over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan
from statistics import fmean, median
from typing import Literal

import plotly.graph_objects as go

from hgc.charts.look import layout

Cost = Literal["share", "macs", "latency_ms"]
Fidelity = Literal["psnr", "ssim", "perceptual", "control_score", "control_error"]
HEIGHT_PX = 400
# Okabe and Ito's colours; the rival's curve is grey and dashed.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
RIVAL_COLOURS = ("#7d8494", "#a3899c", "#8a9a7b", "#9c8a6e")
# Where a picture that agrees in every bit is drawn, above the best that differs.
ABOVE_DB = 3.0

COST_TITLES: Mapping[Cost, str] = {
    "share": "cost: share of full compute",
    "macs": "cost: GMACs, convolutions and linear layers",
    "latency_ms": "cost: seconds",
}
UNITS: Mapping[Cost, tuple[float, str]] = {
    "share": (100.0, "%"),
    "macs": (1e-9, " GMACs"),
    "latency_ms": (1e-3, " s"),
}
FIDELITY_TITLES: Mapping[Fidelity, str] = {
    "psnr": "PSNR to the full picture, dB",
    "ssim": "SSIM to the full picture",
    "perceptual": "perceptual difference, less is more alike",
    "control_score": "control score",
    "control_error": "control error in grey levels, less is better",
}


@dataclass(frozen=True)
class Point:
    """One picture: what it cost, and how like the full one it is (PSNR infinite where they agree in every bit).

    Points of one `series` are one curve; those of one `place` in it differ by their seed alone. `share` is of the full
    picture's MACs, `key` names the run.
    """

    series: str
    place: str
    key: str
    share: float
    macs: float
    latency_ms: float
    psnr: float
    ssim: float
    perceptual: float
    control_score: float
    rival: bool = False

    @property
    def control_error(self) -> float:
        """The control's score where that is a distance from the map."""
        return self.control_score


@dataclass(frozen=True)
class Dot:
    """A place of a curve over its seeds: mean cost; median, least and greatest fidelity; the run nearest the median."""

    place: str
    cost: float
    middle: float
    low: float
    high: float
    seeds: int
    key: str


def curves(points: Iterable[Point], cost: Cost, fidelity: Fidelity) -> dict[str, list[Dot]]:
    """The dots of every series, cheapest first. Points without this fidelity (NaN) are left out."""
    places: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if not isnan(getattr(point, fidelity)):
            places.setdefault((point.series, point.place), []).append(point)
    series_dots: dict[str, list[Dot]] = {}
    for (series, _), together in places.items():
        series_dots.setdefault(series, []).append(_dot(together, cost, fidelity))
    return {series: sorted(dots, key=lambda dot: dot.cost) for series, dots in series_dots.items()}


def _dot(together: Sequence[Point], cost: Cost, fidelity: Fidelity) -> Dot:
    values = [float(getattr(point, fidelity)) for point in together]
    middle = median(values)
    nearest = min(together, key=lambda point: _apart(getattr(point, fidelity), middle))
    return Dot(
        place=together[0].place,
        cost=fmean(getattr(point, cost) for point in together),
        middle=middle,
        low=min(values),
        high=max(values),
        seeds=len(values),
        key=nearest.key,
    )


def _apart(first: float, second: float) -> float:
    return 0.0 if first == second else abs(first - second)


def pareto_chart(points: Sequence[Point], cost: Cost = "share", fidelity: Fidelity = "psnr") -> go.Figure:
    """Cost against fidelity; up and to the left is better. Every dot carries the key of its run as custom data."""
    drawn, figure = curves(points, cost, fidelity), go.Figure()
    rivals = {point.series for point in points if point.rival}
    seen = [value for dots in drawn.values() for dot in dots for value in (dot.low, dot.middle, dot.high)]
    top = max((value for value in seen if isfinite(value)), default=0.0) + ABOVE_DB
    scale, unit = UNITS[cost]
    taken = {True: 0, False: 0}
    for series, dots in drawn.items():
        rival = series in rivals
        palette = RIVAL_COLOURS if rival else COLOURS
        colour = palette[taken[rival] % len(palette)]
        taken[rival] += 1
        if any(dot.seeds > 1 for dot in dots):
            figure.add_trace(_band(dots, series, colour, scale, top))
        figure.add_trace(_line(dots, series, colour, top, cost, fidelity, dashed=rival))
    suffix = unit if cost == "share" else ""
    figure.update_xaxes(
        title=COST_TITLES[cost], ticksuffix=suffix, showgrid=True, gridcolor="rgba(128, 134, 148, 0.18)"
    )
    figure.update_yaxes(title=FIDELITY_TITLES[fidelity], tickformat=".0%" if fidelity == "control_score" else None)
    if fidelity in ("perceptual", "control_error"):
        figure.update_yaxes(autorange="reversed")
    return layout(figure, HEIGHT_PX, hovermode="closest")


def _line(
    dots: Sequence[Dot], series: str, colour: str, top: float, cost: Cost, fidelity: Fidelity, *, dashed: bool
) -> go.Scatter:
    scale, unit = UNITS[cost]
    return go.Scatter(
        x=[dot.cost * scale for dot in dots],
        y=[min(dot.middle, top) for dot in dots],
        customdata=[dot.key for dot in dots],
        text=[_hover(dot, series, fidelity) for dot in dots],
        hovertemplate=f"%{{text}}<br>%{{x:.3~g}}{unit}<br><i>click to open this run</i><extra></extra>",
        name=series,
        legendgroup=series,
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": "dash" if dashed else "solid"},
        marker={
            "size": 10,
            "color": colour,
            "symbol": ["star" if dot.middle == inf else "square" if dashed else "circle" for dot in dots],
        },
    )


def _band(dots: Sequence[Dot], series: str, colour: str, scale: float, top: float) -> go.Scatter:
    """From the least to the greatest of the seeds."""
    costs = [dot.cost * scale for dot in dots]
    return go.Scatter(
        x=[*costs, *costs[::-1]],
        y=[min(dot.high, top) for dot in dots] + [min(dot.low, top) for dot in reversed(dots)],
        fill="toself",
        fillcolor=_faint(colour),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=series,
        name=f"{series}, over seeds",
    )


def _hover(dot: Dot, series: str, fidelity: Fidelity) -> str:
    value = _worded(dot.middle, fidelity)
    lines = [f"<b>{series}</b>", dot.place, value]
    if dot.seeds > 1:
        lines[2] = f"median {value} of {dot.seeds} seeds, {_worded(dot.low, fidelity)} to {_worded(dot.high, fidelity)}"
    return "<br>".join(line for line in lines if line)


def _worded(value: float, fidelity: Fidelity) -> str:
    if fidelity == "psnr":
        return "identical" if value == inf else f"{value:.1f} dB"
    if fidelity in ("control_score", "control_error"):
        return f"control {value:.1%}" if fidelity == "control_score" else f"control error {value:.1f}"
    return f"SSIM {value:.3f}" if fidelity == "ssim" else f"perceptual difference {value:.3f}"


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.16)"
