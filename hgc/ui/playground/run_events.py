"""Run and Stop in the Playground, and a run that is found again after a reload.

Until a run's first news the pictures before it stay; they come back when it is stopped or fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.cache.schedules import OutOfReach
from hgc.planning.methods import arm_titles
from hgc.request import RequestRefused
from hgc.ui.playground import figures
from hgc.ui.playground.drawing import ControlMap, drawn, fitted, prepare
from hgc.ui.playground.form import read_form
from hgc.ui.playground.map_seen import seen_picture, seen_text
from hgc.ui.playground.stage import run_told, stage_running, waits_told
from hgc.ui.pressing import Press, PressStep, Updates, wire_start, wire_stop
from hgc.ui.refusals import in_one_sentence
from hgc.ui.runner import Running

if TYPE_CHECKING:
    from hgc.ui.playground.tab import Playground
    from hgc.ui.underway import Underway

# On a phone the pictures stand below: the page goes there.
TO_THE_PICTURES_JS = (
    "if (innerWidth <= 760) document.getElementById('result-card').scrollIntoView({behavior: 'smooth'});"
)
PRESS_AGAIN_JS = "(again) => again && setTimeout(() => hgc.press('run'), 0)"


class RunEvents:
    """The answers to presses. Each method gives updates of the page, none for a press that was replaced."""

    def __init__(self, playground: Playground) -> None:
        self._page, self._runner, self._jobs = playground, playground.runner, playground.runner.jobs
        self._pressing, self._results = playground.pressing, playground.results

    def note(self, page: gr.Request, name: str) -> Any:
        """The note over the pictures until the run begins."""
        press = Press.read(name, page.session_hash)
        self._jobs.note(press)
        if not self._jobs.stands(press):
            return gr.update()
        if self._runner.loader.settled:
            return run_told("Starting.", "Waiting for its turn on the model.")
        return run_told("Loading the model.", "This happens once, and takes some seconds. Your run starts right after.")

    def take_up(self, page: gr.Request, name: str, *form: Any) -> Updates:
        """Makes the control map and plans; a step of its own, so that planning keeps nobody from the model, and the
        news of the run never touch the canvas.
        """
        press, drawing = Press.read(name, page.session_hash), len(self._page.control.drawing)
        try:
            studio = self._runner.loader.studio()
            given = fitted(drawn(*form[:drawing]), studio)
            prepared, notes = prepare(studio, given)
            request = read_form(self._page, ControlMap(prepared.png, given.control), list(form[drawing:]))
            planned = self._runner.plan(request)
        except Exception as error:
            return self._failed(press, error)
        self._runner.planned.keep(planned, press.name)
        if not self._jobs.stands(press):
            return self._pressing.unchanged
        panel = self._page.control
        return {panel.seen: seen_picture(prepared.map), panel.notes: seen_text(notes, given)}

    def take_again(self, page: gr.Request, name: str, original: str | None) -> Updates:
        """Takes up a request that was brought back, as it is, whatever the form says by now."""
        press, source = Press.read(name, page.session_hash), self._runner.originals.find(original)
        if source is None:
            return self._failed(press, RequestRefused("This picture is no longer kept here: restore it once more."))
        try:
            self._runner.planned.keep(self._runner.plan(source.request), press.name)
        except Exception as error:
            return self._failed(press, error)
        return self._pressing.unchanged

    def run(self, page: gr.Request, name: str, before: str | None) -> Iterator[Updates]:
        """All pictures of what was taken up; `before` is the run that stands there."""
        press = Press.read(name, page.session_hash)
        planned = self._runner.planned.find(press.name)
        stop = self._jobs.begin(press) if planned is not None else None
        if planned is None or stop is None:
            yield self._ended(press, before)
            return
        yield from self._watch(press, self._runner.begin(planned, stop, press.name, page.session_hash), before)

    def come_back(self, page: gr.Request, name: str, before: str) -> Iterator[Updates]:
        """After a reload: the last pictures, and the run under way; one that had not begun is pressed again."""
        press, again = Press.read(name, page.session_hash), {self._page.again: ""}
        if self._runner.runs.find(before) is not None:
            yield {self._results.run_id: before}
        underway = self._runner.underway.find(press.name)
        if underway is not None and self._jobs.stands(press):
            yield from self._watch(press, underway, before)
        elif self._jobs.waits(press):
            again = {self._page.again: press.name}
        yield again

    def stop(self, page: gr.Request, name: str, before: str | None) -> Updates:
        """Ends the visitor's run at its next step, or before its first."""
        press = Press.read(name, page.session_hash)
        self._jobs.stop(press)
        return self._ended(press, before)

    def _watch(self, press: Press, underway: Underway[Running | str], before: str | None) -> Iterator[Updates]:
        first = True
        try:
            for news in underway.watch():
                if not self._jobs.stands(press):
                    yield self._pressing.unchanged
                elif isinstance(news, Running) and news.waiting is not None:
                    yield {self._results.told: waits_told(news.waiting)} | self._pressing.busy
                    first = True
                elif isinstance(news, Running):
                    yield self._under_way(news, first)
                    first = False
                else:
                    yield {self._results.run_id: news, self._results.told: ""}
        except Exception as error:
            yield self._failed(press, error, before)
        else:
            yield self._pressing.ready if self._jobs.stands(press) else self._ended(press, before)

    def _under_way(self, running: Running, first: bool) -> Updates:
        """How far it is; the first time, what stood there of the run before goes."""
        request, results = running.request, self._results
        stage = stage_running(running.latest, request.steps, arm_titles(request), request.size)
        if not first:
            return {results.stage: stage}
        gone = {results.told: "", results.verdict: "", results.figures: figures.figures_waiting(), results.badges: ""}
        return {results.stage: stage, self._page.picture.seed: request.seed} | gone | self._pressing.busy

    def _ended(self, press: Press, before: str | None) -> Updates:
        """Says that the visitor's latest press was stopped, if it was."""
        if not self._jobs.stopped(press):
            return self._pressing.unchanged
        message = run_told("Stopped.", "Nothing of this run was kept.", "stopped")
        return {self._results.told: message} | self._before(press, before) | self._pressing.ready

    def _failed(self, press: Press, error: Exception, before: str | None = None) -> Updates:
        sentence = in_one_sentence(error)
        if not self._jobs.stands(press):
            return self._ended(press, before)
        if isinstance(error, OutOfReach):
            message = run_told("Not at this cost:", sentence, "stopped")
        else:
            message = run_told("This cannot be run:", sentence, "refused")
        return {self._results.told: message} | self._before(press, before) | self._pressing.ready

    def _before(self, press: Press, before: str | None) -> Updates:
        """The run that stood there before a press whose own has begun."""
        return self._results.standing(self._runner.runs.find(before)) if self._jobs.began(press) else {}


def wire_run(p: Playground) -> None:
    """Run: noted at once, then control map and plans, then the pictures. Stop: felt at once, then told to the run."""
    events, pressing, results = RunEvents(p), p.pressing, p.results
    shown = [*results.filled, results.told, *pressing.buttons, results.run_id, p.picture.seed]
    note = PressStep(events.note, outputs=[results.told])
    run = PressStep(events.run, [results.run_id], shown)
    seen = [p.control.seen, p.control.notes, *shown]
    ways: list[tuple[gr.Button, Callable[..., Updates], list[Any]]] = [
        (p.run, events.take_up, [*p.control.drawing, *p.run_inputs]),
        (p.restored.again, events.take_again, [p.restored.original]),
    ]
    for button, take, given in ways:
        wire_start(pressing, button, note, run, PressStep(take, given, seen), before_js=TO_THE_PICTURES_JS)
    wire_stop(pressing, PressStep(events.stop, [results.run_id], shown))
