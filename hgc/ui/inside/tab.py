"""Inside: the same run opened up, from its traces; one step slider moves all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from hgc.ui.components.inputs import chosen
from hgc.ui.inside.change import build_change, wire_change
from hgc.ui.inside.events import InsideEvents
from hgc.ui.inside.summary import EMPTY, LOOKING, UNSEEN
from hgc.ui.queueing import MODEL_QUEUE, QUIET
from hgc.ui.runner import Runner

# A file's button, and what it is for.
FILES = {
    "Trace, JSON": "trace.json",
    "Trace, CSV": "trace.csv",
    "Trace for Perfetto": "trace.perfetto.json",
    "Charts, HTML": "charts.html",
}

OPEN_RECORDING = (
    '<button type="button" class="quiet" onclick="hgc.press(\'open-recording\')">Open the recording meanwhile</button>'
)


@dataclass(frozen=True)
class Closer:
    """The parts that a closer look fills."""

    note: gr.HTML
    button: gr.Button
    found: gr.Column
    choices: gr.Column
    word: gr.Radio
    layer: gr.Dropdown
    maps: gr.HTML


@dataclass(frozen=True)
class Inside:
    """The components of the tab."""

    empty: gr.HTML
    opened: gr.Column
    arm: gr.Radio
    summary: gr.HTML
    stepper: gr.HTML
    detail: gr.Radio
    states: gr.Plot
    pictures: gr.HTML
    totals: gr.HTML
    attention: gr.Plot
    convention: gr.Radio
    macs: gr.Plot
    clock: gr.Plot
    closer: Closer
    drift_column: gr.Column
    drift: gr.Plot
    files: dict[str, gr.Button]

    @property
    def filled(self) -> list[Any]:
        """The outputs of a finished run, in the order of `InsideEvents.open_up`."""
        parts = [self.empty, self.opened, self.arm, self.summary, self.stepper, self.states, self.pictures, self.totals]
        return [*parts, self.attention, self.macs, self.clock]

    @property
    def seen(self) -> list[Any]:
        """The outputs of a closer look, in the order of `InsideEvents.show_seen`."""
        c = self.closer
        return [
            c.note,
            c.button,
            c.found,
            c.choices,
            c.word,
            c.layer,
            c.maps,
            self.states,
            self.drift_column,
            self.drift,
        ]


def build_inside(runner: Runner, run_id: gr.State, recording: bool = False) -> None:
    """Lays the tab out; it fills itself whenever a run is finished. Until then a recording can be opened, if any."""
    empty = gr.HTML(EMPTY.replace("</div>", f"{OPEN_RECORDING}</div>") if recording else EMPTY, elem_id="inside-empty")
    with gr.Column(visible=False, elem_id="inside") as opened:
        arm, summary, files = _head()
        stepper = gr.HTML("", elem_id="stepper")
        with gr.Row(equal_height=False):
            with _card("What every step computed", "Hover for the reason, click to go to a step.", 7):
                detail = _choice("Detail", [("Blocks", "blocks"), ("All sites", "sites")])
                states = _plot("states")
            with _card("The picture at this step", "After the chosen step, before decoding.", 5):
                pictures = gr.HTML("", elem_id="step-pictures")
        with gr.Row(equal_height=True):
            with _card("MACs of every step", "The paper counts without attention products."):
                convention = _choice("Convention", [("Without attention", "paper"), ("With attention", "full")])
                macs = _plot("macs")
            with _card("Time of every step", "Milliseconds in the denoiser, as measured."):
                clock = _plot("latency")
        with _card(
            "Attention from the cache",
            "Each layer looks at your words in every step. The fine cache keeps the answers that hardly change.",
        ):
            totals = gr.HTML("", elem_id="attention-totals")
            attention = _plot("attention")
        change = build_change()
        closer = _closer()
        with (
            gr.Column(visible=False, min_width=330) as drift_column,
            _card("How fast blocks change", "In the full picture's run. What changes little can be kept."),
        ):
            drift = _plot("drift")
    inside = Inside(
        empty=empty,
        opened=opened,
        arm=arm,
        summary=summary,
        stepper=stepper,
        detail=detail,
        states=states,
        pictures=pictures,
        totals=totals,
        attention=attention,
        convention=convention,
        macs=macs,
        clock=clock,
        closer=closer,
        drift_column=drift_column,
        drift=drift,
        files=files,
    )
    _wire(inside, InsideEvents(runner), run_id)
    wire_change(change, runner, run_id, arm)


def _head() -> tuple[gr.Radio, gr.HTML, dict[str, gr.Button]]:
    arm = gr.Radio(
        ["cached"],
        value="cached",
        label="Which picture",
        info="Everything below shows this picture next to the full one.",
        elem_id="arm",
        elem_classes="segmented",
    )
    with gr.Row(elem_id="inside-head", equal_height=True):
        summary = gr.HTML("", elem_id="inside-summary", min_width=300)
        with gr.Row(elem_id="take-away"):
            files = {
                name: gr.Button(title, size="sm", elem_id=f"take-{name.replace('.', '-')}", min_width=60, scale=0)
                for title, name in FILES.items()
            }
    return arm, summary, files


def _closer() -> Closer:
    with _card(
        "Where the model looks for a word",
        "Attention maps: computed in the full picture's run, used in the other run, and their difference.",
    ):
        note = gr.HTML(UNSEEN, elem_id="look-note")
        button = gr.Button("Look at attention and drift", elem_id="look", size="md")
        with gr.Column(visible=False) as column:
            with gr.Column() as choices:
                word = gr.Radio(
                    [],
                    label="Word",
                    info="A word of your prompt, as the model reads it.",
                    elem_id="word",
                    elem_classes="segmented",
                )
                layer = gr.Dropdown(
                    [],
                    label="Layer",
                    info="One cross-attention, or the mean of all.",
                    elem_id="layer",
                    filterable=False,
                )
            maps = gr.HTML("", elem_id="attention-view")
    return Closer(note, button, column, choices, word, layer, maps)


def _wire(inside: Inside, events: InsideEvents, run_id: gr.State) -> None:
    detail, convention, closer = inside.detail, inside.convention, inside.closer
    arm = [run_id, inside.arm]
    opened = run_id.change(events.open_up, [*arm, detail, convention], inside.filled, **QUIET)
    opened.then(events.show_seen, [*arm, detail], inside.seen, **QUIET)
    word = [closer.word, closer.layer]
    turned = inside.arm.input(
        events.open_up, [*arm, detail, convention], inside.filled, trigger_mode="always_last", **QUIET
    )
    turned.then(events.attention_of, [*arm, *word], closer.maps, trigger_mode="always_last", **QUIET)
    detail.input(events.states_of, [*arm, detail], inside.states, **QUIET)
    convention.input(events.macs_of, [*arm, convention], inside.macs, **QUIET)
    news = [closer.note, closer.button]
    waiting = [{"__type__": "update", "value": LOOKING}, {"__type__": "update", "interactive": False}]
    closer.button.click(None, None, news, js=f"() => {json.dumps(waiting)}", api_visibility="private")
    looked = closer.button.click(events.look, run_id, news, **MODEL_QUEUE, **QUIET)
    looked.success(events.show_seen, [*arm, detail], inside.seen, **QUIET)
    turned_to = [closer.word.input, chosen(closer.layer)]
    gr.on(turned_to, events.attention_of, [*arm, *word], closer.maps, trigger_mode="always_last", **QUIET)
    file = gr.JSON(visible=False)
    for name, button in inside.files.items():
        made = button.click(partial(events.export, name), arm, file, **QUIET)
        made.success(None, file, None, js="(file) => hgc.download(file)", api_visibility="private")


@contextmanager
def _card(title: str, aside: str, scale: int = 1) -> Iterator[None]:
    with gr.Column(elem_classes="card", min_width=330, scale=scale):
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


def _plot(name: str) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, elem_id=f"chart-{name}", elem_classes=["chart", "by-step"])
