"""Inside: the same run opened up, from its traces alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.charts import attention_chart, drift_chart, latency_chart, macs_chart, state_chart
from hgc.ui.figures import notes_list
from hgc.ui.queueing import MODEL_QUEUE, QUIET
from hgc.ui.runner import Runner, in_one_sentence

if TYPE_CHECKING:
    from hgc.service import Comparison

EMPTY = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>Nothing to open up yet</h3>'
    "<p>Run something in the Playground; what each step computed and reused will stand here.</p></div>"
)
UNMEASURED = (
    '<p class="aside">Measuring takes one more full pass, apart from the comparison, so that the times above stay '
    "fair.</p>"
)
MEASURING = '<p class="aside" role="status">Measuring: one full pass of the same picture.</p>'
NOT_KEPT = "This run is no longer kept: run it again, then measure."
FORGOTTEN = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>This run is no longer kept</h3>'
    "<p>Only the latest runs are. Run it again to open it up.</p></div>"
)


@dataclass(frozen=True)
class Inside:
    """The components of the tab."""

    empty: gr.HTML
    opened: gr.Column
    summary: gr.HTML
    detail: gr.Radio
    states: gr.Plot
    totals: gr.HTML
    attention: gr.Plot
    convention: gr.Radio
    macs: gr.Plot
    clock: gr.Plot
    drift_note: gr.HTML
    measure: gr.Button
    drift: gr.Plot

    @property
    def filled(self) -> list[Any]:
        """What a finished run fills, in the order of `InsideEvents.open_up`."""
        return [
            self.empty,
            self.opened,
            self.summary,
            self.states,
            self.totals,
            self.attention,
            self.macs,
            self.clock,
            self.drift_note,
            self.measure,
            self.drift,
        ]


def build_inside(runner: Runner, run_id: gr.State) -> None:
    """Lays the tab out; it fills itself whenever a run is finished."""
    empty = gr.HTML(EMPTY, elem_id="inside-empty")
    with gr.Column(visible=False, elem_id="inside") as opened:
        summary = gr.HTML("", elem_id="inside-summary")
        with _card("What every step computed", "The cached arm, block by block. Hover for the reason."):
            detail = _choice("Detail", [("Blocks", "blocks"), ("All sites", "sites")])
            states = _plot("states")
        with _card("Attention from the cache", "Cross-attention of each layer, and the guidance branches."):
            totals = gr.HTML("", elem_id="attention-totals")
            attention = _plot("attention")
        with gr.Row(equal_height=True):
            with _card("MACs of every step", "What was multiplied and added."):
                convention = _choice(
                    "Convention", [("Paper: without attention products", "paper"), ("Full: with them", "full")]
                )
                macs = _plot("macs")
            with _card("Time of every step", "Milliseconds in the denoiser, as measured."):
                clock = _plot("latency")
        with _card("How fast blocks change", "What changes little from step to step can be kept."):
            drift_note = gr.HTML(UNMEASURED, elem_id="drift-note")
            measure = gr.Button("Measure", elem_id="measure", size="md")
            drift = _plot("drift", visible=False)
    inside = Inside(
        empty=empty,
        opened=opened,
        summary=summary,
        detail=detail,
        states=states,
        totals=totals,
        attention=attention,
        convention=convention,
        macs=macs,
        clock=clock,
        drift_note=drift_note,
        measure=measure,
        drift=drift,
    )
    _wire(inside, InsideEvents(runner), run_id)


class InsideEvents:
    """What a finished run and the tab's own choices fill in."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def open_up(self, run: str | None, detail: str, convention: str) -> list[Any]:
        """All charts of a run."""
        found = self._runner.runs.find(run)
        if found is None:
            closed = [gr.update(value=FORGOTTEN if run else EMPTY, visible=True), gr.update(visible=False)]
            return [*closed, *[gr.skip()] * 9]
        full, cached = found.full.trace, found.cached.trace
        return [
            gr.update(visible=False),
            gr.update(visible=True),
            _summary(found),
            state_chart(cached, detail),  # type: ignore[arg-type]
            _totals(found),
            attention_chart(cached),
            macs_chart(full, cached, convention),  # type: ignore[arg-type]
            latency_chart(full, cached),
            gr.update(value=UNMEASURED, visible=True),
            gr.update(interactive=True, visible=True),
            gr.update(visible=False),
        ]

    def states_of(self, run: str | None, detail: str) -> Any:
        """The table as executed, at this detail."""
        found = self._runner.runs.find(run)
        return gr.skip() if found is None else state_chart(found.cached.trace, detail)  # type: ignore[arg-type]

    def macs_of(self, run: str | None, convention: str) -> Any:
        """MACs of every step, in this convention."""
        found = self._runner.runs.find(run)
        if found is None:
            return gr.skip()
        return macs_chart(found.full.trace, found.cached.trace, convention)  # type: ignore[arg-type]

    def drift_of(self, run: str | None) -> list[Any]:
        """How fast every block changes, measured in one more full pass."""
        try:
            trace = self._runner.observed(run)
            refusal = NOT_KEPT if trace is None else ""
        except Exception as error:
            trace, refusal = None, in_one_sentence(error)
        if trace is None:
            return [gr.update(value=notes_list([refusal], "error")), gr.update(interactive=True), gr.skip()]
        return [gr.update(visible=False), gr.update(visible=False), gr.update(value=drift_chart(trace), visible=True)]


def _wire(inside: Inside, events: InsideEvents, run_id: gr.State) -> None:
    detail, convention, measured = inside.detail, inside.convention, [inside.drift_note, inside.measure]
    run_id.change(events.open_up, [run_id, detail, convention], inside.filled, **QUIET)
    detail.input(events.states_of, [run_id, detail], inside.states, **QUIET)
    convention.input(events.macs_of, [run_id, convention], inside.macs, **QUIET)
    measuring = [{"__type__": "update", "value": MEASURING}, {"__type__": "update", "interactive": False}]
    inside.measure.click(None, None, measured, js=f"() => {json.dumps(measuring)}", api_visibility="private")
    inside.measure.click(events.drift_of, run_id, [*measured, inside.drift], **MODEL_QUEUE, **QUIET)


@contextmanager
def _card(title: str, aside: str) -> Iterator[None]:
    with gr.Column(elem_classes="card", min_width=330):
        gr.HTML(f'<h2>{title}</h2><p class="aside">{aside}</p>')
        yield


def _choice(label: str, choices: list[tuple[str, str]]) -> gr.Radio:
    """The first of them is chosen."""
    return gr.Radio(
        choices,
        value=choices[0][1],
        label=label,
        show_label=False,
        elem_id=label.lower(),
        elem_classes="segmented",
    )


def _plot(name: str, visible: bool = True) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, visible=visible, elem_id=f"chart-{name}", elem_classes="chart")


def _summary(found: Comparison) -> str:
    trace, request = found.cached.trace, found.request
    saved = 1 - trace.macs.paper / found.full.trace.macs.paper
    return (
        f'<p class="lead"><b>{saved:.1%}</b> of the work was left out in {trace.steps} steps of the plan '
        f"<b>{trace.plan.name}</b>, seed {request.seed}. Trace <code>{trace.digest}</code>.</p>"
    )


def _totals(found: Comparison) -> str:
    hits, misses = found.cached.trace.attention_hits, found.cached.trace.attention_misses
    share = hits / (hits + misses) if hits + misses else 0.0
    halved = sum(count == 1 for count in found.cached.trace.branches)
    return (
        f'<p class="lead"><b>{hits}</b> hits, <b>{misses}</b> misses: {share:.0%} of the answers came from the cache. '
        f"{halved} of {found.cached.trace.steps} steps ran one guidance branch.</p>"
    )
