"""Schedules: the plan of a run, cell by cell, to look at, to change and to use; and the model calibrated here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from hgc.planning.methods import METHODS
from hgc.ui.playground.tab import Playground
from hgc.ui.queueing import QUIET
from hgc.ui.schedules.calibration import build_calibration
from hgc.ui.schedules.events import ScheduleEvents
from hgc.ui.schedules.search import build_search

COMPONENTS = Path(__file__).parents[1] / "components"
BRUSHES = [("Next in turn", "next"), ("Compute", "C"), ("Reuse", "R"), ("Forecast", "F")]
EMPTY = '<div class="forecast waiting"><div class="meter" aria-hidden="true"><i></i></div><div>No plan yet.</div></div>'
LEGEND = "".join(
    f'<span><i data-state="{letter}"></i>{words}</span>'
    for letter, words in (
        ("C", "computed"),
        ("P", "computed in part"),
        ("R", "reused"),
        ("F", "forecast, continued from earlier values"),
        (".", "not needed: its output is not used"),
    )
)
HOW = (
    f'<div class="plan-legend">{LEGEND}</div><p class="aside">Press a cell, or draw over several. By keyboard: arrow '
    "keys move, Space goes through the actions, C, R and F choose one, Enter opens a block's layers, Ctrl+Z undoes.</p>"
)
# One edit after the other: each starts from the plan that the one before left.
EDIT_QUEUE: dict[str, Any] = {"concurrency_id": "edit", "concurrency_limit": 1, "trigger_mode": "multiple"}


@dataclass(frozen=True)
class Schedules:
    """The components of the plan's card."""

    desk: gr.State
    take: gr.Button
    method: gr.Dropdown
    budget: gr.Slider
    make: gr.Button
    upload: gr.UploadButton
    headline: gr.HTML
    brush: gr.Radio
    undo: gr.Button
    redo: gr.Button
    use: gr.Button
    notes: gr.HTML
    grid: gr.HTML

    @property
    def shown(self) -> list[Any]:
        """The outputs of every event of the plan."""
        return [self.desk, self.grid, self.headline, self.notes, self.undo, self.redo, self.use]


def build_schedules(playground: Playground, tab: gr.Tab, tabs: gr.Tabs) -> None:
    """Lays the tab out and wires it; it takes up the Playground's plan when it is first opened."""
    with gr.Column(elem_id="schedules"):
        with gr.Column(elem_classes="card", elem_id="plan-card"):
            gr.HTML(
                '<h2>Plan</h2><p class="aside">What every step computes and what it keeps. The cost of a '
                "change is shown at once; a plan that cannot be run is refused.</p>"
            )
            schedules = _plan_card()
        build_search(playground, tab)
        build_calibration(playground, tab)
    _wire(schedules, ScheduleEvents(playground), playground, tab, tabs)


def _plan_card() -> Schedules:
    desk = gr.State(None)
    take, method, budget, make, upload = _sources()
    headline = gr.HTML(EMPTY, elem_id="plan-headline")
    with gr.Row(elem_id="plan-tools", equal_height=True):
        brush = gr.Radio(
            BRUSHES,
            value="next",
            label="A pressed cell is set to",
            elem_id="plan-brush",
            elem_classes="segmented",
            min_width=260,
        )
        undo = gr.Button("Undo", size="md", interactive=False, elem_id="plan-undo", scale=0, min_width=80)
        redo = gr.Button("Redo", size="md", interactive=False, elem_id="plan-redo", scale=0, min_width=80)
        use = gr.Button(
            "Use this plan", size="md", variant="primary", interactive=False, elem_id="plan-use", scale=0, min_width=130
        )
    notes = gr.HTML("", elem_id="plan-notes")
    grid = gr.HTML(
        None,
        html_template='<div class="plan-grid"></div>',
        css_template=(COMPONENTS / "plan_grid.css").read_text(encoding="utf-8"),
        js_on_load=(COMPONENTS / "plan_grid.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="plan-grid",
        min_height=480,
    )
    gr.HTML(HOW, elem_id="plan-how")
    return Schedules(desk, take, method, budget, make, upload, headline, brush, undo, redo, use, notes, grid)


def _sources() -> tuple[gr.Button, gr.Dropdown, gr.Slider, gr.Button, gr.UploadButton]:
    """Where a plan comes from: the Playground, a method within a budget, or a file."""
    with gr.Row(elem_id="plan-sources", equal_height=True):
        take = gr.Button("Take the Playground's plan", size="md", elem_id="plan-take", scale=0, min_width=230)
        method = gr.Dropdown(
            [(known.title, known.name) for known in METHODS.values()],
            value="hgc",
            label="Or make one: method",
            filterable=False,
            elem_id="plan-method",
            min_width=170,
        )
        budget = gr.Slider(
            5,
            100,
            37,
            step=1,
            label="Budget, % of full compute",
            info="The most that the plan may compute.",
            elem_id="plan-budget",
        )
        make = gr.Button("Make", size="md", elem_id="plan-make", scale=0, min_width=80)
        upload = gr.UploadButton("Open a JSON file", size="md", elem_id="plan-open", scale=0, min_width=170)
    return take, method, budget, make, upload


def _wire(s: Schedules, events: ScheduleEvents, p: Playground, tab: gr.Tab, tabs: gr.Tabs) -> None:
    answers: dict[str, Any] = {"outputs": s.shown, **EDIT_QUEUE, **QUIET}
    form = [*p.control.map, *p.run_inputs]
    tab.select(events.open, [s.desk, *form], **answers)
    s.take.click(events.take, [s.desk, *form], **answers)
    s.make.click(events.make, [s.desk, s.method, s.budget, *form], **answers)
    s.upload.upload(events.read, [s.desk, s.upload, *form], **answers)
    s.grid.edit(events.edit, [s.desk, s.brush], **answers)
    for undone in (s.undo.click, s.grid.undo):
        undone(events.undo, s.desk, **answers)
    for redone in (s.redo.click, s.grid.redo):
        redone(events.redo, s.desk, **answers)
    used = s.use.click(events.use, s.desk, [p.own.name, p.picture.steps], **QUIET)
    used.then(lambda: gr.update(selected="playground"), None, tabs, queue=False, **QUIET)
