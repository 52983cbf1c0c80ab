"""The right side of the Playground: the stage, the pictures in four ways, their figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.service.methods import arm_titles
from hgc.ui import figures
from hgc.ui.heat import heat_legend, heat_map
from hgc.ui.kept import Kept
from hgc.ui.queueing import QUIET
from hgc.ui.stage import stage_empty
from hgc.ui.titles import ARM_NAMES, captions

if TYPE_CHECKING:
    from hgc.service import ArmName, Comparison

# Any two arms, for the views that show two; the first pair is the one of a run with two arms.
PAIRS = {f"{left} {right}": (left, right) for left, right in combinations(ARM_NAMES, 2)}
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
    rival: gr.Image
    rival_column: gr.Column
    captions: tuple[gr.HTML, ...]
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
        pictures = [self.full, self.cached, self.rival, self.rival_column, *self.captions]
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
                full, full_caption, _ = _arm("full")
                cached, cached_caption, _ = _arm("cached")
                rival, rival_caption, rival_column = _arm("rival", visible=False)
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
        rival=rival,
        rival_column=rival_column,
        captions=(full_caption, cached_caption, rival_caption),
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
    return slider, gr.HTML("", elem_id="slider-ends")


def _flicker() -> tuple[tuple[gr.Image, gr.Image], gr.HTML]:
    with gr.Column(elem_id="flicker"):
        with gr.Column(elem_id="flip-pictures"):
            flips = _picture("The one picture", "flip-left", ()), _picture("The other picture", "flip-right", ())
        return flips, gr.HTML("")


def _flip(left: str, right: str) -> str:
    left, right = escape(left), escape(right)
    return (
        f'<button type="button" class="flip" aria-label="Flip between {left} and {right}">'
        f"<span>{left}</span><span>{right}</span></button>"
        '<p class="aside">Click the picture, or press F, to flip.</p>'
    )


def _pair_choice() -> gr.Radio:
    return gr.Radio(
        list(PAIRS),
        value=FIRST_PAIR,
        label="Two at a time",
        visible=False,
        elem_id="pair",
        elem_classes="segmented",
    )


def _pair_choices(titles: Mapping[ArmName, str]) -> list[tuple[str, str]]:
    """The pairs of those arms that there are."""
    there = {name: pair for name, pair in PAIRS.items() if set(pair) <= titles.keys()}
    return [(f"{titles[left]} | {titles[right]}", name) for name, (left, right) in there.items()]


def _ends(left: str, right: str) -> str:
    return f'<div class="ends"><span>{escape(left)}</span><span>{escape(right)}</span></div>'


def _arm(name: ArmName, visible: bool = True) -> tuple[gr.Image, gr.HTML, gr.Column]:
    with gr.Column(min_width=130, visible=visible) as column:
        picture = _picture(f"The {name} picture", name)
        caption = gr.HTML("", elem_id=f"{name}-caption")
    return picture, caption, column


def _caption(text: str | None) -> str:
    return "" if text is None else f'<p class="caption">{escape(text)}</p>'


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
    values, rival = comparison.figures(), comparison.rival
    verdict, told = figures.verdict(values), captions(comparison)
    chosen = FIRST_PAIR if rival is None else pair
    return [
        gr.update(visible=False),
        gr.update(visible=True),
        gr.update(value=verdict, visible=bool(verdict)),
        gr.update(value=chosen, choices=_pair_choices(arm_titles(comparison.request)), visible=rival is not None),
        *_pair_views(comparison, chosen),
        comparison.full.image,
        comparison.cached.image,
        None if rival is None else rival.image,
        gr.update(visible=rival is not None),
        *(_caption(told.get(name)) for name in ARM_NAMES),
        figures.figures_row(values),
        figures.badges(values, comparison.notes),
    ]


def _pair_views(comparison: Comparison, pair: str) -> list[Any]:
    left, right = PAIRS[pair]
    difference = comparison.difference(left, right)
    images = comparison.arms[left].image, comparison.arms[right].image
    told = captions(comparison)
    ends, flip = _ends(told[left], told[right]), _flip(told[left], told[right])
    return [images, ends, *images, flip, heat_map(difference), heat_legend(difference)]


def stage(results: Results, html: str) -> dict[Any, Any]:
    """The updates that put a message, or a run under way, in the pictures' place."""
    return {results.stage: gr.update(value=html, visible=True), results.shown: gr.update(visible=False)}
