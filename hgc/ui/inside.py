"""Inside: the same run opened up, from its traces alone."""

from __future__ import annotations

import json
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


def build_inside(runner: Runner, run_id: gr.State) -> None:
    """Lays the tab out; it fills itself whenever a run is finished."""
    runs = runner.runs
    empty = gr.HTML(EMPTY, elem_id="inside-empty")
    with gr.Column(visible=False, elem_id="inside") as opened:
        summary = gr.HTML("", elem_id="inside-summary")
        with gr.Column(elem_classes="card"):
            gr.HTML(_heading("What every step computed", "The cached arm, block by block. Hover for the reason."))
            detail = gr.Radio(
                [("Blocks", "blocks"), ("All sites", "sites")],
                value="blocks",
                label="Detail",
                show_label=False,
                elem_id="detail",
                elem_classes="segmented",
            )
            states = _plot("states")
        with gr.Column(elem_classes="card"):
            gr.HTML(_heading("Attention from the cache", "Cross-attention of each layer, and the guidance branches."))
            attention_totals = gr.HTML("", elem_id="attention-totals")
            attention = _plot("attention")
        with gr.Row(equal_height=True):
            with gr.Column(elem_classes="card", min_width=330):
                gr.HTML(_heading("MACs of every step", "What was multiplied and added."))
                convention = gr.Radio(
                    [("Paper: without attention products", "paper"), ("Full: with them", "full")],
                    value="paper",
                    label="Convention",
                    show_label=False,
                    elem_id="convention",
                    elem_classes="segmented",
                )
                macs = _plot("macs")
            with gr.Column(elem_classes="card", min_width=330):
                gr.HTML(_heading("Time of every step", "Milliseconds in the denoiser, as measured."))
                clock = _plot("latency")
        with gr.Column(elem_classes="card"):
            gr.HTML(_heading("How fast blocks change", "What changes little from step to step can be kept."))
            drift_note = gr.HTML(UNMEASURED, elem_id="drift-note")
            measure = gr.Button("Measure", elem_id="measure", size="md")
            drift = _plot("drift", visible=False)

    def open_up(run: str | None, detail: str, convention: str) -> list[Any]:
        """All charts of a run."""
        found = runs.find(run)
        if found is None:
            return [
                gr.update(value=FORGOTTEN if run else EMPTY, visible=True),
                gr.update(visible=False),
                *[gr.skip()] * 8,
            ]
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

    def states_of(run: str | None, detail: str) -> Any:
        """The table as executed, at this detail."""
        found = runs.find(run)
        return gr.skip() if found is None else state_chart(found.cached.trace, detail)  # type: ignore[arg-type]

    def macs_of(run: str | None, convention: str) -> Any:
        """MACs of every step, in this convention."""
        found = runs.find(run)
        if found is None:
            return gr.skip()
        return macs_chart(found.full.trace, found.cached.trace, convention)  # type: ignore[arg-type]

    def drift_of(run: str | None) -> list[Any]:
        """How fast every block changes, measured in one more full pass."""
        try:
            trace = runner.observed(run)
        except Exception as error:
            return [
                gr.update(value=notes_list([in_one_sentence(error)], "error")),
                gr.update(interactive=True),
                gr.skip(),
            ]
        if trace is None:
            return [gr.update(value=notes_list([NOT_KEPT], "error")), gr.update(interactive=True), gr.skip()]
        return [gr.update(visible=False), gr.update(visible=False), gr.update(value=drift_chart(trace), visible=True)]

    charts = [empty, opened, summary, states, attention_totals, attention, macs, clock, drift_note, measure, drift]
    run_id.change(open_up, [run_id, detail, convention], charts, **QUIET)
    detail.input(states_of, [run_id, detail], states, **QUIET)
    measuring = [{"__type__": "update", "value": MEASURING}, {"__type__": "update", "interactive": False}]
    measure.click(None, None, [drift_note, measure], js=f"() => {json.dumps(measuring)}", api_visibility="private")
    measure.click(drift_of, run_id, [drift_note, measure, drift], **MODEL_QUEUE, **QUIET)
    convention.input(macs_of, [run_id, convention], macs, **QUIET)


def _plot(name: str, visible: bool = True) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, visible=visible, elem_id=f"chart-{name}", elem_classes="chart")


def _heading(title: str, aside: str) -> str:
    return f'<h2>{title}</h2><p class="aside">{aside}</p>'


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
