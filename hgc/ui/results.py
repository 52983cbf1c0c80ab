"""The right side of the Playground: the stage, the pictures in four ways, their figures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.ui import figures
from hgc.ui.heat import heat_legend, heat_map
from hgc.ui.kept import Kept
from hgc.ui.queueing import QUIET
from hgc.ui.stage import stage_empty
from hgc.ui.titles import ARM_TITLES

if TYPE_CHECKING:
    from hgc.service import ArmName, Comparison

# Any two arms, for the views that show two; the first pair is the one of a run with two arms.
PAIRS = {f"{left} {right}": (left, right) for left, right in combinations(ARM_TITLES, 2)}
FIRST_PAIR = next(iter(PAIRS))


@dataclass(frozen=True)
class Results:
    """The components of the right side."""

    stage: gr.HTML
    shown: gr.Column
    verdict: gr.HTML
    pair: gr.Radio
    slider: gr.ImageSlider
    ends: gr.HTML
    full: gr.Image
    cached: gr.Image
    fewer: gr.Image
    fewer_column: gr.Column
    flips: tuple[gr.Image, gr.Image]
    flip: gr.HTML
    heat: gr.Image
    legend: gr.HTML
    figures: gr.HTML
    badges: gr.HTML
    run_id: gr.State

    @property
    def of_pair(self) -> list[Any]:
        """What shows two arms, in the order of `_pair_views`."""
        return [self.slider, self.ends, *self.flips, self.flip, self.heat, self.legend]

    @property
    def filled(self) -> list[Any]:
        """What a finished run fills, in the order of `_filled`."""
        pictures = [self.full, self.cached, self.fewer, self.fewer_column]
        return [
            self.stage,
            self.shown,
            self.verdict,
            self.pair,
            *self.of_pair,
            *pictures,
            self.figures,
            self.badges,
        ]


def build_results() -> Results:
    """Lays it out, empty."""
    stage = gr.HTML(stage_empty(), elem_id="stage")
    with gr.Column(visible=False, elem_id="result") as shown:
        verdict = gr.HTML("", elem_id="verdict", visible=False)
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Slider", id="slider"):
                slider, ends = _slider()
            with gr.Tab("Side by side", id="side"), gr.Row(elem_id="side-by-side"):
                full, _ = _arm("full")
                cached, _ = _arm("cached")
                fewer, fewer_column = _arm("fewer", visible=False)
            with gr.Tab("Flicker", id="flicker-view"):
                flips, flip = _flicker()
            with gr.Tab("Difference", id="difference"):
                heat = _picture("Where the two differ", "heat")
                legend = gr.HTML("", elem_id="heat-legend")
        pair = _pair_choice()
        numbers = gr.HTML("", elem_id="figures")
        badges = gr.HTML("", elem_id="badges")
    return Results(
        stage=stage,
        shown=shown,
        verdict=verdict,
        pair=pair,
        slider=slider,
        ends=ends,
        full=full,
        cached=cached,
        fewer=fewer,
        fewer_column=fewer_column,
        flips=flips,
        flip=flip,
        heat=heat,
        legend=legend,
        figures=numbers,
        badges=badges,
        run_id=gr.State(None),
    )


def _slider() -> tuple[gr.ImageSlider, gr.HTML]:
    slider = gr.ImageSlider(
        label="One picture on the left, the other on the right",
        show_label=False,
        format="png",
        interactive=False,
        max_height=560,
        buttons=["fullscreen"],
        elem_id="slider",
    )
    return slider, gr.HTML(_ends(*PAIRS[FIRST_PAIR]), elem_id="slider-ends")


def _flicker() -> tuple[tuple[gr.Image, gr.Image], gr.HTML]:
    left, right = PAIRS[FIRST_PAIR]
    with gr.Column(elem_id="flicker"):
        with gr.Column(elem_id="flip-pictures"):
            flips = _picture("The one picture", "flip-left", ()), _picture("The other picture", "flip-right", ())
        return flips, gr.HTML(_flip(left, right))


def _flip(left: ArmName, right: ArmName) -> str:
    return (
        f'<button type="button" class="flip" aria-label="Flip between {ARM_TITLES[left]} and {ARM_TITLES[right]}">'
        f"<span>{ARM_TITLES[left]}</span><span>{ARM_TITLES[right]}</span></button>"
        '<p class="aside">Click the picture, or press F, to flip.</p>'
    )


def _pair_choice() -> gr.Radio:
    return gr.Radio(
        [(f"{_short(left)} | {_short(right)}", name) for name, (left, right) in PAIRS.items()],
        value=FIRST_PAIR,
        label="Two at a time",
        visible=False,
        elem_id="pair",
        elem_classes="segmented",
    )


def _short(arm: ArmName) -> str:
    """Three pairs stand in one row of a phone."""
    return ARM_TITLES[arm].split()[0]


def _ends(left: ArmName, right: ArmName) -> str:
    return f'<div class="ends"><span>{ARM_TITLES[left]}</span><span>{ARM_TITLES[right]}</span></div>'


def _arm(name: ArmName, visible: bool = True) -> tuple[gr.Image, gr.Column]:
    with gr.Column(min_width=130, visible=visible) as column:
        picture = _picture(ARM_TITLES[name], name)
        gr.HTML(f'<p class="caption">{ARM_TITLES[name]}</p>')
    return picture, column


def _picture(label: str, name: str, buttons: tuple[str, ...] = ("download", "fullscreen")) -> gr.Image:
    return gr.Image(
        label=label,
        show_label=False,
        format="png",
        interactive=False,
        buttons=list(buttons),
        elem_id=name,
        min_width=120,
    )


def wire_results(results: Results, runs: Kept[Comparison]) -> None:
    """Shows a run's pictures and figures as soon as it is finished, and any two of them side by side."""

    def show(run: str | None, pair: str) -> list[Any]:
        """The pictures and figures of a run."""
        found = runs.find(run)
        return [gr.skip()] * len(results.filled) if found is None else _filled(found, pair)

    def show_pair(run: str | None, pair: str) -> list[Any]:
        """Two arms of a run on the slider, and where they differ."""
        found = runs.find(run)
        return [gr.skip()] * len(results.of_pair) if found is None else _pair_views(found, pair)

    asked = [results.run_id, results.pair]
    results.run_id.change(show, asked, results.filled, **QUIET)
    results.pair.input(show_pair, asked, results.of_pair, trigger_mode="always_last", **QUIET)


def _filled(comparison: Comparison, pair: str) -> list[Any]:
    values, fewer = comparison.figures(), comparison.fewer
    verdict = figures.verdict(values)
    chosen = FIRST_PAIR if fewer is None else pair
    return [
        gr.update(visible=False),
        gr.update(visible=True),
        gr.update(value=verdict, visible=bool(verdict)),
        gr.update(value=chosen, visible=fewer is not None),
        *_pair_views(comparison, chosen),
        comparison.full.image,
        comparison.cached.image,
        None if fewer is None else fewer.image,
        gr.update(visible=fewer is not None),
        figures.figures_row(values),
        figures.badges(values, comparison.notes),
    ]


def _pair_views(comparison: Comparison, pair: str) -> list[Any]:
    left, right = PAIRS[pair]
    difference = comparison.difference(left, right)
    images = comparison.arms[left].image, comparison.arms[right].image
    ends, flip = _ends(left, right), _flip(left, right)
    return [images, ends, *images, flip, heat_map(difference), heat_legend(difference)]


def stage(results: Results, html: str) -> dict[Any, Any]:
    """The updates that put a message, or a run under way, in the pictures' place."""
    return {results.stage: gr.update(value=html, visible=True), results.shown: gr.update(visible=False)}
