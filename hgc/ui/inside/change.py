"""A run in the light of a calibration: how its layers change, and how much adds up before each is computed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.cache.rules import CalibrationRefused
from hgc.cache.schedules import delta_of, thresholds_of
from hgc.calibration.curves import ChangeCurves
from hgc.charts.change import accumulated_chart, change_chart, changing_rows, most_piled
from hgc.charts.rows import ChartRow
from hgc.planning.calibrations import subject_of
from hgc.ui.components.inputs import chosen
from hgc.ui.playground.titles import subject_words
from hgc.ui.queueing import QUIET
from hgc.ui.runner import Runner

if TYPE_CHECKING:
    from hgc.results.opened import Opened

log = logging.getLogger(__name__)

TITLE = "<h2>Change that piles up</h2>"
PLAIN = "How far each layer's output has moved since it was last computed, which a dot marks."
WITH_DELTA = (
    "Block Caching computes a layer again when its change since last time has passed the dashed line, δ, and its "
    "output is needed. Behind a kept layer it is not needed, so it waits."
)


@dataclass(frozen=True)
class Change:
    """The components of the card."""

    column: gr.Column
    told: gr.HTML
    block: gr.Dropdown
    piled: gr.Plot
    curves: gr.Plot

    @property
    def filled(self) -> list[Any]:
        return [self.column, self.told, self.block, self.piled, self.curves]


def build_change() -> Change:
    """Lays the card out, hidden until a run has a calibration."""
    with gr.Column(visible=False, elem_classes="card", min_width=330, elem_id="change") as column:
        heading = gr.HTML(TITLE)
        block = gr.Dropdown(
            [],
            label="Block",
            info="The chart has a line for each layer of this block.",
            elem_id="change-block",
            filterable=False,
        )
        with gr.Row(equal_height=True):
            piled, curves = (
                gr.Plot(
                    show_label=False,
                    container=False,
                    min_width=300,
                    elem_id=f"chart-{name}",
                    elem_classes=["chart", "by-step"],
                )
                for name in ("accumulated", "change")
            )
    return Change(column, heading, block, piled, curves)


def wire_change(change: Change, runner: Runner, run_id: gr.State, arm: gr.Radio) -> None:
    """Fills the card with every new run, and when another arm or block is chosen."""
    events = ChangeEvents(runner)
    gr.on([run_id.change, arm.input], events.open_up, [run_id, arm], change.filled, **QUIET)
    chosen(change.block)(events.charts_of, [run_id, arm, change.block], [change.piled, change.curves], **QUIET)


class ChangeEvents:
    """Answers with updates in the order of `Change.filled`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def open_up(self, run: str | None, arm: str) -> list[Any]:
        """The block in which most piles up first; nothing where the run's setting was never calibrated."""
        opened = self._runner.opened(run, arm)
        curves = self._calibrated(opened)
        if opened is None or curves is None:
            return [gr.update(visible=False), *[gr.skip()] * 4]
        rows = changing_rows(opened.trace, curves)
        chosen = most_piled(rows, opened.trace, curves)
        return [
            gr.update(visible=True),
            told(opened, curves),
            gr.update(choices=[row.title for row in rows], value=chosen.title),
            *_charts(opened, curves, chosen),
        ]

    def charts_of(self, run: str | None, arm: str, title: str) -> list[Any]:
        """Both charts of a block."""
        opened = self._runner.opened(run, arm)
        curves = self._calibrated(opened)
        if opened is None or curves is None:
            return [gr.skip()] * 2
        return _charts(opened, curves, next(r for r in changing_rows(opened.trace, curves) if r.title == title))

    def _calibrated(self, opened: Opened | None) -> ChangeCurves | None:
        """The curves that an arm went by; None where there are none, or where it made other steps."""
        loader = self._runner.loader
        if opened is None or not loader.ready or opened.trace.steps != opened.comparison.request.steps:
            return None
        try:
            return loader.studio().curves_of(opened.trace.plan, opened.comparison.request)
        except CalibrationRefused:
            log.warning("the calibration of a run that is looked into cannot be read", exc_info=True)
            return None


def told(opened: Opened, curves: ChangeCurves) -> str:
    """The chart in words, and where its numbers come from."""
    rule = PLAIN if delta_of(opened.trace.plan) is None else WITH_DELTA
    scenes = f"{curves.scenes} scene{'s' if curves.scenes > 1 else ''}"
    elsewhere = curves.subject != subject_of(opened.comparison.request)
    carried_over = " (carried over, not measured here)" if elsewhere else ""
    return (
        f'{TITLE}<p class="aside">{rule} On the right, the change from step to step. Both as calibrated over {scenes}, '
        f"{escape(subject_words(curves.subject))}{carried_over}; the bands are one standard deviation.</p>"
    )


def _charts(opened: Opened, curves: ChangeCurves, row: ChartRow) -> list[Any]:
    trace = opened.trace
    thresholds = thresholds_of(trace.plan, trace.cells)
    delta = None if thresholds is None else thresholds[row.main[0].name]  # all layers of a block have the same
    return [accumulated_chart(row, trace, curves, delta), change_chart(row, curves)]
