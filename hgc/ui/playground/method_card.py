"""A method's card: why one would take it, and folded who made it and what it was measured to give."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hgc.planning.measured import WORDS, MeasuredRung, rungs
from hgc.planning.methods import Method

CONTROLS = {"segmentation": "Label maps", "edges": "Edges"}
RIVAL = "fewer_steps"
WIDTH, HEIGHT = 220, 104
LEFT, RIGHT, TOP, BOTTOM = 26, 8, 18, 30  # margins of the chart, px
SHARES, DECIBELS = (0.1, 0.6), (20.0, 65.0)  # the ranges of the axes


def method_card(method: Method) -> str:
    """The reason, and a fold below it."""
    made, title = ("", "What it gives") if method.arxiv is None else (_paper(method), "Who made it, and what it gives")
    measured = {words: rungs(method.name, control) for control, words in CONTROLS.items()}
    return (
        f'<p class="aside">{escape(method.reason)}</p><details class="method-card">'
        f"<summary>{title}</summary>{made}{_measured(method, measured)}</details>"
    )


def _paper(method: Method) -> str:
    address = f"https://arxiv.org/abs/{method.arxiv}"
    link = f'<a href="{address}" target="_blank" rel="noopener">arXiv {method.arxiv}</a>'
    return f'<p class="aside">By {escape(method.makers)} · {link}</p>'


def _measured(method: Method, measured: dict[str, tuple[MeasuredRung, ...]]) -> str:
    known = {words: points for words, points in measured.items() if points}
    if not known:
        return '<p class="aside">Not measured here yet: no table that comes with Studio has it.</p>'
    lines = [f"<dt>{words}</dt><dd>{told(points)}</dd>" for words, points in known.items()]
    scenes = min(points[0].scenes for points in known.values())
    against = "" if method.name == RIVAL else " Dashed: fewer steps."
    return (
        f'{_chart(method, next(iter(known.values())))}<dl class="rungs">{"".join(lines)}</dl>'
        f'<p class="aside">PSNR to the full picture by share of its compute; means of {scenes} scenes, {WORDS}.'
        f" The curve is of {next(iter(known)).lower()}.{against}</p>"
    )


def told(rungs: Sequence[MeasuredRung]) -> str:
    """Likeness at each cost, in words."""
    return " · ".join(f"{rung.psnr:.1f} dB at {rung.share:.0%}" for rung in rungs)


def _chart(method: Method, own: Sequence[MeasuredRung]) -> str:
    """Up is more alike, left is cheaper."""
    beside = () if method.name == RIVAL else rungs(RIVAL, "segmentation")
    ticks = "".join(
        f'<text x="{LEFT - 4}" y="{_y(db) + 3:.1f}" text-anchor="end">{db:g}</text>'
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(db):.1f}" y2="{_y(db):.1f}"/>'
        for db in (30.0, 45.0, 60.0)
    )
    ticks += "".join(
        f'<text x="{_x(share):.1f}" y="{HEIGHT - BOTTOM + 12}" text-anchor="middle">{share:.0%}</text>'
        for share in (0.2, 0.37, 0.5)
    )
    dots = "".join(f'<circle cx="{_x(r.share):.1f}" cy="{_y(r.psnr):.1f}" r="3"/>' for r in own)
    ticks += f'<text x="{LEFT - 4}" y="9" text-anchor="end">dB</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    ticks += f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">share of full compute</text>'
    label = f"{method.title} on label maps: {told(own)}"
    return (
        f'<svg class="cost-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{ticks}'
        f"{_line(beside, 'rival')}{_line(own, 'own')}{dots}</svg>"
    )


def _line(rungs: Sequence[MeasuredRung], kind: str) -> str:
    places = " ".join(f"{_x(rung.share):.1f},{_y(rung.psnr):.1f}" for rung in rungs)
    return f'<polyline class="{kind}" points="{places}"/>' if rungs else ""


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (share - SHARES[0]) / (SHARES[1] - SHARES[0])


def _y(psnr: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (psnr - DECIBELS[0]) / (DECIBELS[1] - DECIBELS[0])
