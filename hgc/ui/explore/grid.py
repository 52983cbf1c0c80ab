"""A sweep as HTML: its pictures in rows and columns, its cost, its progress and its outcome in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING

from hgc.charts.quantity import duration, giga
from hgc.planning.methods import arm_titles
from hgc.sweep import Axis, Sweep
from hgc.ui.playground.stage import preview_url

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison
    from hgc.sweep import SweepCell
    from hgc.sweep.pricing import Job
    from hgc.sweep.run import Outcome, SweepUnderway


Outcomes = Mapping[str, "Outcome"]
# Cells are buttons; a click on one, or on a dot of the chart, tells the run's key.
PICK_JS = """
element.addEventListener('click', (event) => {
  const cell = event.target.closest('[data-run]');
  if (cell) trigger('click', {run: cell.dataset.run});
});
const listen = () => {
  const plot = document.querySelector('#chart-pareto .js-plotly-plot');
  if (!plot || !plot.on || plot.dataset.picks) return;
  plot.dataset.picks = 'yes';
  plot.on('plotly_click', (event) => {
    const run = event.points.map((point) => point.customdata).find((key) => key);
    if (run) trigger('click', {run});
  });
};
new MutationObserver(listen).observe(document.body, {childList: true, subtree: true});
listen();
"""


def grid(sweep: Sweep, outcomes: Outcomes, running: str = "", stopped: bool = False) -> str:
    """The whole table; `running` is the key of the run under way, `stopped` says that the missing ones stay out."""
    waits = "not drawn" if stopped else "waiting"
    by_place: dict[tuple[int, int], list[SweepCell]] = {}
    for cell in sweep.cells:
        by_place.setdefault((cell.column, cell.row), []).append(cell)
    rows = range(sweep.rows)
    table = [
        [_place(by_place[column, row], outcomes, running, waits) for column in range(sweep.columns)] for row in rows
    ]
    head, side = list(sweep.x.labels), [""] if sweep.y is None else list(sweep.y.labels)
    full = [_full_of(by_place[0, row], outcomes) for row in rows]
    if sweep.x.setting.decides != "picture":
        head, table = ["Full", *head], [[own, *line] for own, line in zip(full, table, strict=True)]
    elif sweep.y is not None and sweep.y.setting.decides != "picture":
        own = [_full_of(by_place[column, 0], outcomes) for column in range(sweep.columns)]
        side, table = ["Full", *side], [own, *table]
    return (
        '<div class="sweep-box" tabindex="0" role="region" aria-label="Pictures of the sweep"><table class="sweep">'
        f'<thead><tr><td class="corner">{_corner(sweep.x, sweep.y)}</td>{"".join(_head(label) for label in head)}</tr>'
        f"</thead><tbody>{''.join(_row(label, line) for label, line in zip(side, table, strict=True))}</tbody></table>"
        "</div>"
    )


def _corner(x: Axis, y: Axis | None) -> str:
    down = "" if y is None else f"<span>{escape(y.setting.title)} ↓</span>"
    return f"<span>{escape(x.setting.title)} →</span>{down}"


def _head(label: str) -> str:
    return f'<th scope="col">{escape(label)}</th>'


def _row(label: str, cells: Sequence[str]) -> str:
    said = escape(label) or '<span class="unseen">The only row</span>'
    return f'<tr><th scope="row">{said}</th>{"".join(cells)}</tr>'


def _place(cells: Sequence[SweepCell], outcomes: Outcomes, running: str, waits: str) -> str:
    """One place of the table: the first of its seeds as a picture, figures over all of them."""
    keys = [cell.key for cell in cells]
    there = [outcomes[key] for key in keys if key in outcomes]
    drawn = [(out.cell, out.comparison) for out in there if out.comparison is not None]
    if drawn:
        return _picture(drawn[0][0], [compared for _, compared in drawn], under_way=running in keys)
    if there:
        return f'<td><div class="cell refused"><p>{escape(there[0].refusal)}</p></div></td>'
    state = "running" if running in keys else "waiting"
    return f'<td><div class="cell {state}"><p>{"drawing" if running in keys else waits}</p></div></td>'


def _picture(cell: SweepCell, compared: Sequence[Comparison], *, under_way: bool) -> str:
    first = compared[0]
    share = first.cached.trace.macs.paper / first.full.trace.macs.paper
    alike = [one.psnr for one in compared]
    worded = decibels(median(alike))
    spread = ""
    if len(alike) > 1:
        spread = f"<small>{len(alike)} seeds: {decibels(min(alike), unit=False)} to {decibels(max(alike))}</small>"
    words = f"{share:.1%} of full compute, PSNR {worded}"
    return (
        f'<td><button type="button" class="cell drawn{" running" if under_way else ""}" data-run="{cell.key}" '
        f'title="Open this run in the Playground"><img alt="{escape(words)}" src="{preview_url(first.cached.image)}">'
        f"<span><b>{share:.1%}</b><i>{worded}</i></span>{spread}</button></td>"
    )


def _full_of(cells: Sequence[SweepCell], outcomes: Outcomes) -> str:
    """The picture computed in full that a row or a column is compared with, once a run of it is there."""
    digests = {cell.request.picture_digest for cell in cells[:1]}
    outcome = next(
        (
            out.comparison
            for out in outcomes.values()
            if out.comparison is not None and out.comparison.request.picture_digest in digests
        ),
        None,
    )
    if outcome is None:
        return '<td class="whole"><div class="cell waiting"><p>in full</p></div></td>'
    return (
        '<td class="whole"><div class="cell drawn"><img alt="Computed in full" '
        f'src="{preview_url(outcome.full.image)}">'
        "<span><b>100%</b><i>in full</i></span></div></td>"
    )


def decibels(psnr: float, *, unit: bool = True) -> str:
    """PSNR as the table words it."""
    if not isfinite(psnr):
        return "identical"
    return f"{psnr:.1f} dB" if unit else f"{psnr:.1f}"


def told(text: str, kind: str = "plain") -> str:
    """One sentence in the place of the progress."""
    return f'<p class="sweep-told {kind}" role="{"alert" if kind == "error" else "status"}">{escape(text)}</p>'


def waiting(loading: bool) -> str:
    return told("Loading the model; the sweep starts right after." if loading else "Waiting for its turn on the model.")


def price_line(sweep: Sweep, planned: Sequence[Job], workers: int = 1) -> str:
    """The time and compute of a sweep, before it starts."""
    refused = sum(bool(job.refusal) for job in planned)
    if refused == len(planned):
        return told(planned[0].refusal, "error")
    clocks = [job.latency_ms for job in planned]
    spent = giga(sum(job.macs for job in planned))
    known = [clock for clock in clocks if clock is not None]
    clock = "time is known after the first run"
    if len(known) == len(clocks):
        clock = f"about {duration(sum(known) / 1e3 / workers)}" + (f" by {workers} workers" if workers > 1 else "")
    pictures = f"{sweep.pictures} full picture{'s' if sweep.pictures > 1 else ''}"
    cannot = f" {refused} of them cannot be drawn." if refused else ""
    return (
        f'<p class="sweep-price"><b>{len(planned)} runs</b> over {pictures}, <b>{clock}</b>, {spent} MACs with '
        f"attention.{cannot}</p>"
    )


def progress_bar(sweep: Sweep, news: SweepUnderway) -> str:
    """Which run is under way, how far it is, by how many workers, and how long all of them will still take."""

    arm, step, steps = arm_titles(news.cell.request)[news.progress.arm], news.progress.step, news.progress.steps
    picture = ""
    if news.progress.preview is not None:
        picture = f'<img alt="Preview of the run under way" src="{preview_url(news.progress.preview)}">'
    rate = f", {news.per_minute:.1f} pictures a minute" if news.per_minute else ""
    pace = f"{news.workers} workers{rate} · " if news.workers > 1 else ""
    return (
        f'<div class="sweep-progress">{picture}<div><p role="status"><b>Run {news.number} of {news.runs}</b> '
        f"{escape(place(sweep, news.cell))}</p>"
        f'<progress max="1" value="{news.done:.3f}" aria-label="Part of the sweep"></progress>'
        f'<p class="aside">{escape(arm)}, step {step} of {steps} · {pace}about {duration(news.eta_s)} left</p>'
        "</div></div>"
    )


def place(sweep: Sweep, cell: SweepCell) -> str:
    """Where a run stands, in words."""
    places = zip(sweep.axes, (cell.column, cell.row), strict=False)
    return ", ".join(f"{axis.setting.title} {axis.labels[at]}" for axis, at in places)
