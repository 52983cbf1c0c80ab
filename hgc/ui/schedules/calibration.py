"""Calibrates the loaded model on the page: how fast every block changes, over many painted scenes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc import limits
from hgc.calibration.subject import Subject
from hgc.charts.drift import curves_chart
from hgc.charts.quantity import duration
from hgc.results.comparison import Cancelled
from hgc.ui.playground.titles import subject_words
from hgc.ui.playground.wanted import control_of
from hgc.ui.pressing import Jobs, Press, Pressing, PressStep, Updates, build_press, wire_start, wire_stop
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import aside, notes_list
from hgc.ui.schedules.progress import progress

if TYPE_CHECKING:
    from hgc.calibration.files import Calibration
    from hgc.ui.playground.calibrating_panel import MissedCalibration
    from hgc.ui.playground.tab import Playground


MOST_SCENES = limits.SCENES
INTRO = (
    "<h2>Calibration</h2><p class='aside'>Measures how much each block changes from step to step; what changes little "
    "can be kept. Each scene is a full run with the Playground's control, steps, sampler and guidance. Block Caching, "
    "EasyCache and MagCache need this. If you stop it, it continues from there next time.</p>"
)


@dataclass(frozen=True)
class CalibrationCard:
    """The components of the card."""

    scenes: gr.Slider
    pressing: Pressing
    told: gr.HTML
    chart: gr.Plot


def build_calibration(playground: Playground, tab: gr.Tab) -> None:
    """Lays the card out and wires it."""
    with gr.Column(elem_classes="card", elem_id="calibration-card"):
        gr.HTML(INTRO)
        with gr.Row(equal_height=True, elem_id="calibration-row"):
            scenes = gr.Slider(
                1,
                MOST_SCENES,
                8,
                step=1,
                label="Scenes",
                info="More give a steadier result; a scene takes as long as a full picture.",
                elem_id="calibration-scenes",
            )
            press = build_press()
            run = gr.Button("Calibrate", size="md", elem_id="calibrate", scale=0, min_width=110)
            stop = gr.Button("Stop", size="md", interactive=False, elem_id="calibrate-stop", scale=0, min_width=70)
        status = gr.HTML("", elem_id="calibration-told")
        chart = gr.Plot(show_label=False, container=False, visible=False, elem_id="chart-curves", elem_classes="chart")
    card = CalibrationCard(scenes, Pressing(press, (run,), stop), status, chart)
    _wire(card, playground, tab)


class CalibrationEvents:
    """Calibrate and Stop go by the number of the press, as Run and Stop do."""

    def __init__(self, card: CalibrationCard | MissedCalibration, playground: Playground) -> None:
        self._card, self._runner, self._jobs = card, playground.runner, Jobs()
        self._ready = card.pressing.ready

    def show(self, *form: Any) -> Updates:
        """The calibration for the Playground's settings, if there is one."""
        try:
            subject = self._subject(*form)
            calibration = self._runner.loader.studio().calibration(subject)
        except Exception as error:
            return self._refused(error)
        if calibration is None:
            words = f"Nothing is measured yet for {subject_words(subject)}. Calibrate measures it."
            return {self._card.told: aside(words)} | self._drawn(gr.update(visible=False))
        return self._curves(calibration)

    def note(self, page: gr.Request, name: str) -> str:
        """The note until the calibration begins."""
        self._jobs.note(Press.read(name, page.session_hash))
        return progress("Waiting for its turn on the model.", 0, "Calibration")

    def run(self, page: gr.Request, name: str, scenes: float, *form: Any) -> Iterator[Updates]:
        """Every scene, and the curves of all; `form` is what decides the Playground's control, then its settings."""

        stop = self._jobs.begin(Press.read(name, page.session_hash))
        if stop is None:
            yield self._stopped
            return
        try:
            subject = self._subject(*form)
            yield from self._news(subject, int(scenes), stop)
        except Cancelled:
            yield self._stopped
        except Exception as error:
            yield self._refused(error) | self._ready
        finally:
            stop.set()  # a visitor who leaves closes this generator: the model is to stop as well

    def stop(self, page: gr.Request, name: str) -> None:
        """Ends it at the next step, or before its first."""
        self._jobs.stop(Press.read(name, page.session_hash))

    def _news(self, subject: Subject, scenes: int, stop: threading.Event) -> Iterator[Updates]:
        from hgc.studio.calibrating import ScenesMeasured

        begun, before = perf_counter(), None
        for news in self._runner.loader.studio().calibrate(subject, scenes, cancel=stop):
            if not isinstance(news, ScenesMeasured):
                yield self._curves(news) | self._ready
                continue
            before = news.done if before is None else before
            here = news.done - before
            left = (perf_counter() - begun) / here * (news.wanted - news.done) if here else None
            words = _measuring(news.done, news.wanted, left)
            yield {self._card.told: progress(words, news.done / news.wanted, "Calibration")}

    def _subject(self, source: str, annotator: str, which: str, steps: float, sampler: str, guidance: float) -> Subject:
        studio = self._runner.loader.studio()
        control = control_of(source, annotator, which, studio.controls, studio.world.painted)
        return Subject(studio.model, control, sampler, int(steps), float(guidance))

    def _curves(self, calibration: Calibration) -> Updates:
        curves = calibration.curves
        words = f"Measured over {curves.scenes} scene{'s' * (curves.scenes > 1)}: {subject_words(curves.subject)}."
        chart = curves_chart(curves, self._runner.loader.studio().anatomy())
        return {self._card.told: aside(words)} | self._drawn(gr.update(value=chart, visible=True))

    def _drawn(self, update: Any) -> Updates:
        return {} if self._card.chart is None else {self._card.chart: update}

    @property
    def _stopped(self) -> Updates:
        words = "Stopped. The scenes that were finished are kept: Calibrate goes on from there."
        return {self._card.told: aside(words)} | self._ready

    def _refused(self, error: Exception) -> Updates:
        return {self._card.told: notes_list([in_one_sentence(error)], "error")}


def _measuring(done: int, scenes: int, left_s: float | None) -> str:
    """The progress, and how long the rest will take once a scene was timed."""
    words = f"{done} of {scenes} scenes"
    return words if left_s is None else f"{words}, about {duration(left_s)} left" if left_s else f"{words}: adding up"


def _wire(card: CalibrationCard, p: Playground, tab: gr.Tab) -> None:
    events = CalibrationEvents(card, p)
    subject = [*p.control.map, p.picture.steps, p.picture.sampler, p.picture.guidance]
    answers = [card.told, card.chart]
    tab.select(events.show, subject, answers, trigger_mode="always_last", **QUIET)
    run = PressStep(events.run, [card.scenes, *subject], [*answers, *card.pressing.buttons])
    wire_start(card.pressing, card.pressing.starts[0], PressStep(events.note, outputs=[card.told]), run)
    wire_stop(card.pressing, PressStep(events.stop))
