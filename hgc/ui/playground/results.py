"""The right side of the Playground: the pictures in their viewer, what is to be said of them, their figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.history import Record
from hgc.ui.components.viewer import build_viewer, scene
from hgc.ui.playground import figures
from hgc.ui.playground.stage import stage_empty, stage_recorded
from hgc.ui.queueing import QUIET
from hgc.ui.sessions import RecentItems

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison

KEYS = (
    '<p class="aside keys"><kbd>Ctrl</kbd> <kbd>Enter</kbd> runs · <kbd>Esc</kbd> stops · <kbd>F</kbd> flips two '
    "pictures · <kbd>M</kbd> magnifies · <kbd>Shift</kbd> <kbd>F</kbd> fills the screen</p>"
)


@dataclass(frozen=True)
class Results:
    """The components of the right side. None of them comes or goes: what a run brings has its place before.

    `told` says how a run stands; `last` is the id of the run that is shown, as the browser keeps it.
    """

    told: gr.HTML
    stage: gr.HTML
    verdict: gr.HTML
    figures: gr.HTML
    badges: gr.HTML
    run_id: gr.State
    last: gr.Textbox
    opening: Record | None

    @property
    def filled(self) -> list[Any]:
        """The outputs of a finished run, in the order of `_filled`."""
        return [self.stage, self.verdict, self.figures, self.badges]

    def standing(self, run: Comparison | None) -> dict[Any, Any]:
        """The updates that show a run; without one, what the page opens with."""
        return dict(zip(self.filled, _at_first(self.opening) if run is None else _filled(run), strict=True))


def build_results(opening: Record | None = None) -> Results:
    """Lays it out, empty but for a recording and its figures."""
    stage, verdict, row, _ = _at_first(opening)
    built = Results(
        told=gr.HTML("", elem_id="run-told"),
        stage=build_viewer(stage),
        verdict=gr.HTML(verdict, elem_id="verdict"),
        figures=gr.HTML(row, elem_id="figures"),
        badges=gr.HTML("", elem_id="badges"),
        run_id=gr.State(None),
        last=gr.Textbox("", visible=False, label="last run"),
        opening=opening,
    )
    gr.HTML(KEYS)
    return built


def wire_results(results: Results, runs: RecentItems[Comparison]) -> None:
    """Shows a run's pictures and figures as soon as it is finished."""

    def show(run: str | None) -> list[Any]:
        """The pictures and figures of a run."""
        comparison = runs.find(run)
        return [gr.skip()] * len(results.filled) if comparison is None else _filled(comparison)

    results.run_id.change(show, results.run_id, results.filled, **QUIET)


def _at_first(opening: Record | None) -> list[str]:
    if opening is None:
        return [stage_empty(), "", figures.figures_waiting(), ""]
    values = opening.figures
    return [stage_recorded(opening), figures.verdict(values), figures.figures_row(values), ""]


def _filled(comparison: Comparison) -> list[str]:
    values = comparison.figures()
    return [
        scene(comparison),
        figures.recorded(comparison) + figures.verdict(values),
        figures.figures_row(values),
        figures.badges(values, comparison.notes),
    ]
