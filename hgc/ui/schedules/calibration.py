"""Calibrates the loaded model on the page: how fast every block changes, over many painted scenes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from time import perf_counter
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.calibration.subject import Subject
from hgc.charts.curves import curves_chart
from hgc.charts.quantity import duration
from hgc.ui.jobs import Jobs, Press
from hgc.ui.playground.figures import aside, notes_list
from hgc.ui.playground.titles import CONTROLS, subject_words
from hgc.ui.queueing import MODEL_QUEUE, QUIET
from hgc.ui.runner import in_one_sentence

if TYPE_CHECKING:
    from hgc.calibration.files import Calibration
    from hgc.ui.playground.tab import Playground

MOST_SCENES = 64
EVERY_PRESS = {"trigger_mode": "multiple"}
RUN_JS = "(press) => [press + 1, {__type__: 'update', interactive: false}, {__type__: 'update', interactive: true}]"
STOP_JS = "() => ({__type__: 'update', interactive: false})"
INTRO = (
    "<h2>Calibration</h2><p class='aside'>What changes little from step to step can be kept. Each scene is one full "
    "run with the Playground's steps, sampler and guidance; stopped, it goes on where it was. Block Caching plans from "
    "this.</p>"
)
Updates = dict[Any, Any]


@dataclass(frozen=True)
class CalibrationCard:
    """The components of the card."""

    control: gr.Radio
    scenes: gr.Slider
    press: gr.Number
    run: gr.Button
    stop: gr.Button
    told: gr.HTML
    chart: gr.Plot


def build_calibration(playground: Playground, tab: gr.Tab) -> None:
    """Lays the card out and wires it."""
    with gr.Column(elem_classes="card", elem_id="calibration-card"):
        gr.HTML(INTRO)
        with gr.Row(equal_height=True, elem_id="calibration-row"):
            control = gr.Radio(
                [(title.capitalize(), name) for name, title in CONTROLS.items()],
                value="segmentation",
                label="Control",
                elem_id="calibration-control",
                elem_classes="segmented",
                min_width=180,
            )
            scenes = gr.Slider(
                1,
                MOST_SCENES,
                8,
                step=1,
                label="Scenes",
                info="More are steadier; a scene takes as long as a full picture.",
                elem_id="calibration-scenes",
            )
            press = gr.Number(0, precision=0, visible=False)
            run = gr.Button("Calibrate", size="md", elem_id="calibrate", scale=0, min_width=110)
            stop = gr.Button("Stop", size="md", interactive=False, elem_id="calibrate-stop", scale=0, min_width=70)
        told = gr.HTML("", elem_id="calibration-told")
        chart = gr.Plot(show_label=False, container=False, visible=False, elem_id="chart-curves", elem_classes="chart")
    card = CalibrationCard(control, scenes, press, run, stop, told, chart)
    _wire(card, playground, tab)


class CalibrationEvents:
    """Calibrate and Stop go by the number of the press, as Run and Stop do."""

    def __init__(self, card: CalibrationCard, playground: Playground) -> None:
        self._card, self._runner, self._jobs = card, playground.runner, Jobs()
        self._ready = {card.run: gr.update(interactive=True), card.stop: gr.update(interactive=False)}

    def show(self, control: str, steps: float, sampler: str, guidance: float) -> Updates:
        """What is measured for the Playground's settings, if anything."""
        try:
            subject = self._subject(control, steps, sampler, guidance)
            found = self._runner.loader.studio().calibration(subject)
        except Exception as error:
            return self._refused(error)
        if found is None:
            told = f"Nothing is measured yet for {subject_words(subject)}. Calibrate measures it."
            return {self._card.told: aside(told), self._card.chart: gr.update(visible=False)}
        return self._curves(found)

    def note(self, page: gr.Request, number: int) -> str:
        """What stands there until it begins."""
        self._jobs.note(_press(page, number))
        return _progress("Waiting for its turn on the model.", 0)

    def run(
        self,
        page: gr.Request,
        number: int,
        scenes: float,
        control: str,
        steps: float,
        sampler: str,
        guidance: float,
    ) -> Iterator[Updates]:
        """Every scene, and the curves of all."""
        from hgc.results.comparison import Cancelled

        stop = self._jobs.begin(_press(page, number))
        if stop is None:
            yield self._stopped
            return
        try:
            subject = self._subject(control, steps, sampler, guidance)
            yield from self._news(subject, int(scenes), stop)
        except Cancelled:
            yield self._stopped
        except Exception as error:
            yield self._refused(error) | self._ready
        finally:
            stop.set()  # a visitor who leaves closes this generator: the model is to stop as well

    def stop(self, page: gr.Request, number: int) -> None:
        """Ends it at the next step, or before its first."""
        self._jobs.stop(_press(page, number))

    def _news(self, subject: Subject, scenes: int, stop: threading.Event) -> Iterator[Updates]:
        from hgc.studio.calibrating import Measured

        begun, before = perf_counter(), None
        for news in self._runner.loader.studio().calibrate(subject, scenes, stopped=stop.is_set):
            if not isinstance(news, Measured):
                yield self._curves(news) | self._ready
                continue
            before = news.done if before is None else before
            here = news.done - before
            left = (perf_counter() - begun) / here * (news.wanted - news.done) if here else None
            yield {self._card.told: _progress(_measuring(news.done, news.wanted, left), news.done / news.wanted)}

    def _subject(self, control: str, steps: float, sampler: str, guidance: float) -> Subject:
        return Subject(self._runner.loader.studio().model, control, sampler, int(steps), float(guidance))

    def _curves(self, found: Calibration) -> Updates:
        curves = found.curves
        told = f"Measured over {curves.scenes} scene{'s' * (curves.scenes > 1)}: {subject_words(curves.subject)}."
        chart = curves_chart(curves, self._runner.loader.studio().anatomy())
        return {self._card.told: aside(told), self._card.chart: gr.update(value=chart, visible=True)}

    @property
    def _stopped(self) -> Updates:
        told = "Stopped. The scenes that were finished are kept: Calibrate goes on from there."
        return {self._card.told: aside(told)} | self._ready

    def _refused(self, error: Exception) -> Updates:
        return {self._card.told: notes_list([in_one_sentence(error)], "error")}


def _press(page: gr.Request, number: int) -> Press:
    return Press(page.session_hash or "", number)


def _measuring(done: int, wanted: int, left_s: float | None) -> str:
    """What is done, and how long the rest will take once a scene was timed."""
    told = f"{done} of {wanted} scenes"
    return told if left_s is None else f"{told}, about {duration(left_s)} left" if left_s else f"{told}: adding up"


def _progress(told: str, share: float) -> str:
    return (
        f'<div class="calibrating" role="status"><progress max="1" value="{share:.3f}" aria-label="Calibration">'
        f"</progress><span>{escape(told)}</span></div>"
    )


def _wire(card: CalibrationCard, p: Playground, tab: gr.Tab) -> None:
    events = CalibrationEvents(card, p)
    subject = [card.control, p.picture.steps, p.picture.sampler, p.picture.guidance]
    answers = [card.told, card.chart]
    gr.on([tab.select, card.control.input], events.show, subject, answers, trigger_mode="always_last", **QUIET)
    card.run.click(None, card.press, [card.press, card.run, card.stop], js=RUN_JS, api_visibility="private")
    noted = card.run.click(events.note, card.press, card.told, queue=False, **EVERY_PRESS, **QUIET)
    noted.then(
        events.run,
        [card.press, card.scenes, *subject],
        [*answers, card.run, card.stop],
        **EVERY_PRESS,
        **MODEL_QUEUE,
        **QUIET,
    )
    card.stop.click(None, None, card.stop, js=STOP_JS, api_visibility="private")
    card.stop.click(events.stop, card.press, None, queue=False, **EVERY_PRESS, **QUIET)
