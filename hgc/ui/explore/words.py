"""Explore's words beside its pictures, as HTML: the cost of a sweep, its progress, its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from hgc.charts.quantity import duration, giga
from hgc.ui.playground.stage import preview_url

if TYPE_CHECKING:
    from hgc.sweep import Cell, Sweep
    from hgc.sweep.run import Job, Underway


def told(text: str, kind: str = "plain") -> str:
    """One sentence in the place of the progress."""
    return f'<p class="sweep-told {kind}" role="{"alert" if kind == "error" else "status"}">{escape(text)}</p>'


def waiting(loading: bool) -> str:
    return told("Loading the model; the sweep starts right after." if loading else "Waiting for its turn on the model.")


def price_line(sweep: Sweep, planned: Sequence[Job]) -> str:
    """The time and compute of a sweep, before it starts."""
    refused = sum(bool(job.refusal) for job in planned)
    if refused == len(planned):
        return told(planned[0].refusal, "error")
    clocks = [job.latency_ms for job in planned]
    spent = giga(sum(job.macs for job in planned))
    known = [clock for clock in clocks if clock is not None]
    clock = f"about {duration(sum(known) / 1e3)}" if len(known) == len(clocks) else "time is known after the first run"
    pictures = f"{sweep.pictures} full picture{'s' if sweep.pictures > 1 else ''}"
    cannot = f" {refused} of them cannot be drawn." if refused else ""
    return (
        f'<p class="sweep-price"><b>{len(planned)} runs</b> over {pictures}, <b>{clock}</b>, {spent} MACs with '
        f"attention.{cannot}</p>"
    )


def progress_bar(sweep: Sweep, news: Underway) -> str:
    """Which run is under way, how far it is, and how long all of them will still take."""
    from hgc.planning.methods import arm_titles

    arm, step, steps = arm_titles(news.cell.request)[news.progress.arm], news.progress.step, news.progress.steps
    picture = ""
    if news.progress.preview is not None:
        picture = f'<img alt="Preview of the run under way" src="{preview_url(news.progress.preview)}">'
    return (
        f'<div class="sweep-progress">{picture}<div><p role="status"><b>Run {news.number} of {news.runs}</b> '
        f"{escape(place(sweep, news.cell))}</p>"
        f'<progress max="1" value="{news.done:.3f}" aria-label="Part of the sweep"></progress>'
        f'<p class="aside">{escape(arm)}, step {step} of {steps} · about {duration(news.eta_s)} left</p></div></div>'
    )


def place(sweep: Sweep, cell: Cell) -> str:
    """Where a run stands, in words."""
    places = zip(sweep.axes, (cell.column, cell.row), strict=False)
    return ", ".join(f"{axis.setting.title} {axis.labels[at]}" for axis, at in places)
