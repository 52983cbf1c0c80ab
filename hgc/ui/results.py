"""The right side of the Playground: the stage, the two pictures in three ways, their figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.cache.anatomy import Kind, State
from hgc.ui import figures
from hgc.ui.heat import heat_legend, heat_map
from hgc.ui.kept import Kept
from hgc.ui.queueing import QUIET

if TYPE_CHECKING:
    from hgc.service import Comparison

NOTHING_DONE = (
    '<div class="verdict warn" role="status"><b>The caches did nothing.</b> They kept no value in any step; only work '
    "that does not depend on the step was saved. Lower the budget, or compute fewer key steps.</div>"
)
EXACT = (
    '<div class="verdict good" role="status"><b>Bit-identical to the plain pipeline.</b> Only work that does not '
    "depend on the step was saved.</div>"
)


@dataclass(frozen=True)
class Results:
    """The components of the right side."""

    stage: gr.HTML
    shown: gr.Column
    verdict: gr.HTML
    slider: gr.ImageSlider
    full: gr.Image
    cached: gr.Image
    heat: gr.Image
    legend: gr.HTML
    figures: gr.HTML
    badges: gr.HTML
    run_id: gr.State


def build_results() -> Results:
    """Lays it out, empty."""
    stage = gr.HTML(figures.stage_empty(), elem_id="stage")
    with gr.Column(visible=False, elem_id="result") as shown:
        verdict = gr.HTML("", elem_id="verdict", visible=False)
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Slider", id="slider"):
                slider = gr.ImageSlider(
                    label="Full on the left, cached on the right",
                    show_label=False,
                    format="png",
                    interactive=False,
                    max_height=560,
                    buttons=["fullscreen"],
                    elem_id="slider",
                )
                gr.HTML('<div class="ends"><span>Full</span><span>Cached</span></div>')
            with gr.Tab("Side by side", id="side"), gr.Row(elem_id="side-by-side"):
                full, cached = _arm("Full", "full"), _arm("Cached", "cached")
            with gr.Tab("Difference", id="difference"):
                heat = _picture("Where the two differ", "heat")
                legend = gr.HTML("", elem_id="heat-legend")
        numbers = gr.HTML("", elem_id="figures")
        badges = gr.HTML("", elem_id="badges")
    return Results(stage, shown, verdict, slider, full, cached, heat, legend, numbers, badges, gr.State(None))


def _arm(title: str, name: str) -> gr.Image:
    with gr.Column(min_width=130):
        picture = _picture(title, name)
        gr.HTML(f'<p class="caption">{title}</p>')
    return picture


def _picture(label: str, name: str) -> gr.Image:
    return gr.Image(
        label=label,
        show_label=False,
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=name,
        min_width=120,
    )


def wire_results(results: Results, runs: Kept[Comparison]) -> None:
    """Shows a run's pictures and figures as soon as it is finished."""
    filled = [
        results.stage,
        results.shown,
        results.verdict,
        results.slider,
        results.full,
        results.cached,
        results.heat,
        results.legend,
        results.figures,
        results.badges,
    ]

    def show(run: str | None) -> list[Any]:
        """The pictures and figures of a run."""
        found = runs.find(run)
        return [gr.skip()] * len(filled) if found is None else _filled(found)

    results.run_id.change(show, results.run_id, filled, **QUIET)


def _filled(comparison: Comparison) -> list[Any]:
    values = comparison.figures()
    verdict = NOTHING_DONE if did_nothing(comparison) else EXACT if values["identical"] else ""
    return [
        gr.update(visible=False),
        gr.update(visible=True),
        gr.update(value=verdict, visible=bool(verdict)),
        (comparison.full.image, comparison.cached.image),
        comparison.full.image,
        comparison.cached.image,
        heat_map(comparison.difference),
        heat_legend(comparison.difference),
        figures.figures_row(values),
        figures.badges(values, comparison.notes),
    ]


def did_nothing(comparison: Comparison) -> bool:
    """Whether a cache was on and yet kept nothing but what never depends on the step."""
    trace = comparison.cached.trace
    by_cache = [site.name for site in trace.sites if site.kind not in (Kind.CONDITION, Kind.TEXT_KV, Kind.EMBEDDING)]
    kept = any(cell.state in (State.REUSED, State.FORECAST) for name in by_cache for cell in trace.cells[name])
    return not kept and not comparison.request.cache.off


def stage(results: Results, html: str) -> dict[Any, Any]:
    """The updates that put a message, or a run under way, in the pictures' place."""
    return {results.stage: gr.update(value=html, visible=True), results.shown: gr.update(visible=False)}
