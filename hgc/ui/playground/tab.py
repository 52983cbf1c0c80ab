"""The Playground: a drawing on the left, the pictures on the right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from hgc.history import Record
from hgc.ui.playground.cache_events import wire_cache
from hgc.ui.playground.cache_panel import CachePanel, build_cache_panel
from hgc.ui.playground.calibrating import CalibratingHere
from hgc.ui.playground.control_events import wire_control
from hgc.ui.playground.control_panel import ControlPanel, build_control_panel
from hgc.ui.playground.example_events import wire_examples
from hgc.ui.playground.forecast_events import wire_price
from hgc.ui.playground.forecast_line import forecast_waiting
from hgc.ui.playground.looks import Looks
from hgc.ui.playground.more_events import wire_more
from hgc.ui.playground.own_plan import OwnPlan, build_own_plan, wire_own_plan
from hgc.ui.playground.picture_panel import PicturePanel, Words, build_picture_panel, build_words
from hgc.ui.playground.restored_card import RestoredCard, build_restored_card, build_take_along
from hgc.ui.playground.results import Results, build_results, wire_results
from hgc.ui.playground.run_events import wire_run
from hgc.ui.playground.session import wire_remembering
from hgc.ui.playground.words_events import wire_words
from hgc.ui.pressing import Pressing, build_press
from hgc.ui.runner import Runner


@dataclass(frozen=True)
class Playground:
    """The tab's components and the runner behind them."""

    runner: Runner
    control: ControlPanel
    words: Words
    picture: PicturePanel
    cache: CachePanel
    results: Results
    pressing: Pressing
    again: gr.Textbox
    forecast: gr.HTML
    own: OwnPlan
    restored: RestoredCard
    looks: Looks = field(default_factory=Looks)

    @property
    def run(self) -> gr.Button:
        return self.pressing.starts[0]

    @property
    def run_inputs(self) -> list[Any]:
        own, wanted = self.own.name, self.cache.wanted
        more = self.control.more.inputs
        return [*self.fields.values(), self.picture.lock, own, *wanted, *self.cache.settings, *more]

    @property
    def fields(self) -> dict[str, Any]:
        """The components that set a Request's field, by its name."""
        caches = {"verify": self.cache.verify, "rival": self.cache.rival}
        size = {"size": self.control.more.size}
        return {"prompt": self.words.prompt, **self.picture.fields, **caches, **size}


def build_playground(runner: Runner, opening: Record | None = None) -> Playground:
    """Lays the tab out and wires it; a recording stands there until the first run.

    gradio takes an event's listeners in turn and waits for the server in between: what the browser does alone is wired
    first.
    """
    with gr.Row(elem_id="playground", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_id="left"):
            control = build_control_panel()
            cache = build_cache_panel()
            picture = build_picture_panel()
        with gr.Column(scale=7, min_width=330, elem_id="right"):
            with gr.Column(elem_classes="card", elem_id="words"):
                words = build_words()
                own = build_own_plan()
                pressing, forecast = _run_bar()
                again = gr.Textbox("", visible=False, label="press again")
                along = build_take_along()
            restored = RestoredCard(**build_restored_card(), **along)
            with gr.Column(elem_classes="card", elem_id="result-card"):
                shown = build_results(opening)
    playground = Playground(runner, control, words, picture, cache, shown, pressing, again, forecast, own, restored)
    wire_remembering(playground)
    wire_own_plan(playground)
    wire_cache(playground)
    wire_control(playground)
    wire_examples(playground)
    wire_words(playground)
    wire_more(playground)
    wire_price(playground)
    CalibratingHere(playground).wire()
    wire_run(playground)
    wire_results(shown, runner.runs)
    return playground


def _run_bar() -> tuple[Pressing, gr.HTML]:
    with gr.Row(elem_id="run-bar"):
        forecast = gr.HTML(forecast_waiting("The model is loading."), elem_id="forecast", min_width=120, scale=1)
        press = build_press()
        run = gr.Button("Run", variant="primary", elem_id="run", min_width=76, scale=0)
        stop = gr.Button("Stop", interactive=False, elem_id="stop", min_width=64, scale=0)
    return Pressing(press, (run,), stop), forecast
