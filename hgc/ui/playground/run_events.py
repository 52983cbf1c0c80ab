"""Run and Stop: every press of Run has a number, and only the latest press changes the page.

gradio's `cancels` is not used. It looks for what to end by function and session, so that a Stop still on its way ends
the run after it; and the page drops the events of a press while those of the one before are being ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.cache.schedules import OutOfReach
from hgc.planning.methods import arm_titles
from hgc.request import RequestRefused
from hgc.ui.jobs import Press
from hgc.ui.playground import figures
from hgc.ui.playground.drawing import Sheet, drawn, prepare, seen_picture, seen_text
from hgc.ui.playground.form import read_form
from hgc.ui.playground.stage import (
    stage_error,
    stage_loading,
    stage_out_of_reach,
    stage_running,
    stage_starting,
    stage_stopped,
)
from hgc.ui.queueing import MODEL_QUEUE, QUIET
from hgc.ui.runner import in_one_sentence

if TYPE_CHECKING:
    from hgc.request import ArmName, Request
    from hgc.ui.playground.tab import Playground

Updates = dict[Any, Any]
# No press is dropped while the events of the one before are still under way.
EVERY_PRESS = {"trigger_mode": "multiple"}
# Answered at once in the browser, so that a press is felt even while the server is busy: what stands there of the run
# before goes. On a phone the pictures stand below: the page goes there.
RUN_JS = f"""(press) => {{
  if (innerWidth <= 760) document.getElementById('result-card').scrollIntoView({{behavior: 'smooth'}});
  return [
    press + 1, '', {json.dumps(figures.figures_waiting())}, '',
    {{__type__: 'update', interactive: false}}, {{__type__: 'update', interactive: true}},
  ];
}}"""
STOP_JS = "() => ({__type__: 'update', interactive: false})"


class RunEvents:
    """What the presses do. Each method answers with updates of the page, none for a press that was replaced."""

    def __init__(self, playground: Playground) -> None:
        self._page, self._runner, self._jobs = playground, playground.runner, playground.runner.jobs
        run, stop = playground.run, playground.stop
        self._ready = {run: gr.update(interactive=True), stop: gr.update(interactive=False)}
        self._busy = {run: gr.update(interactive=False), stop: gr.update(interactive=True)}
        # gradio empties the outputs of an answer without updates.
        self._unchanged: Updates = {run: gr.update()}

    def note(self, page: gr.Request, number: int) -> Any:
        """What stands there until the run begins."""
        press = _press(page, number)
        self._jobs.note(press)
        if not self._jobs.stands(press):
            return gr.update()
        return stage_starting() if self._runner.loader.settled else stage_loading()

    def take_up(self, page: gr.Request, number: int, *drawing: Any) -> Updates:
        """Makes the control map; a step of its own, so that the news of the run never touch the canvas."""
        press = _press(page, number)
        try:
            given = drawn(*drawing)
            prepared, notes = prepare(self._runner.loader.studio(), given)
        except Exception as error:
            return self._failed(press, error)
        self._runner.sheets.keep(Sheet(prepared.png, given.control), press.name)
        if not self._jobs.stands(press):
            return self._unchanged
        panel = self._page.control
        return {panel.seen: seen_picture(prepared.map), panel.notes: seen_text(notes, given)}

    def take_again(self, page: gr.Request, number: int, original: str | None) -> Updates:
        """Takes up a request that was brought back, as it is, whatever the form says by now."""
        press, found = _press(page, number), self._runner.originals.find(original)
        if found is None:
            return self._failed(press, RequestRefused("This picture is no longer kept here: restore it once more."))
        request = found.request
        self._runner.sheets.keep(Sheet(request.control_bytes, request.control, request), press.name)
        return self._unchanged

    def run(self, page: gr.Request, number: int, *values: Any) -> Iterator[Updates]:
        """All pictures, from the control map and the settings on the page."""
        press = _press(page, number)
        sheet = self._runner.sheets.find(press.name)
        stop = self._jobs.begin(press) if sheet is not None else None
        if sheet is None or stop is None:
            yield self._ended(press)
            return
        try:
            for updates in self._news(sheet, list(values), stop, page.session_hash):
                yield updates if self._jobs.stands(press) else self._unchanged
        except Exception as error:
            yield self._failed(press, error)
        else:
            yield self._ready if self._jobs.stands(press) else self._ended(press)

    def stop(self, page: gr.Request, number: int) -> Updates:
        """Ends the visitor's run at its next step, or before its first."""
        press = _press(page, number)
        self._jobs.stop(press)
        return self._ended(press)

    def _news(self, sheet: Sheet, values: list[Any], stop: Any, visit: str | None) -> Iterator[Updates]:
        from hgc.results.comparison import Comparison, Progress

        request = sheet.request or read_form(self._page, sheet, values)
        latest: dict[ArmName, Progress] = {}
        yield self._under_way(latest, request) | {self._page.picture.seed: request.seed}
        for news in self._runner.compare(request, stop):
            if isinstance(news, Comparison):
                yield {self._page.results.run_id: self._runner.keep(news, visit)}
            else:
                latest[news.arm] = news
                yield self._under_way(latest, request)

    def _under_way(self, latest: Mapping[ArmName, Any], request: Request) -> Updates:
        return {self._page.results.stage: stage_running(latest, request.steps, arm_titles(request))} | self._busy

    def _ended(self, press: Press) -> Updates:
        """Says that the visitor's latest press was stopped, if it was."""
        if not self._jobs.stopped(press):
            return self._unchanged
        return {self._page.results.stage: stage_stopped()} | self._ready

    def _failed(self, press: Press, error: Exception) -> Updates:
        told = in_one_sentence(error)
        if not self._jobs.stands(press):
            return self._ended(press)
        stage = stage_out_of_reach if isinstance(error, OutOfReach) else stage_error
        return {self._page.results.stage: stage(told)} | self._ready


def _press(page: gr.Request, number: int) -> Press:
    return Press(page.session_hash or "", number)


def wire_run(p: Playground) -> None:
    """Run: noted at once, then the control map, then the pictures. Stop: felt at once, then told to the run."""
    events = RunEvents(p)
    shown = [p.results.stage, p.run, p.stop]
    seen = [p.control.seen, p.control.notes, *shown]
    _wire_press(p, events, p.run, events.take_up, p.control.drawing, seen)
    _wire_press(p, events, p.restored.again, events.take_again, [p.restored.original], shown)
    p.stop.click(None, None, p.stop, js=STOP_JS, api_visibility="private")
    p.stop.click(events.stop, p.press, shown, queue=False, **EVERY_PRESS, **QUIET)


def _wire_press(
    p: Playground, events: RunEvents, button: gr.Button, take: Callable[..., Updates], given: list[Any], seen: list[Any]
) -> None:
    """One button that starts a run; `take` takes up what it is made from."""
    told = [p.results.verdict, p.results.figures, p.results.badges]
    button.click(None, p.press, [p.press, *told, p.run, p.stop], js=RUN_JS, api_visibility="private")
    button.click(events.note, p.press, p.results.stage, queue=False, **EVERY_PRESS, **QUIET)
    way: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "take up", **EVERY_PRESS, **QUIET}
    button.click(take, [p.press, *given], seen, **way).success(
        events.run,
        [p.press, *p.run_inputs],
        [p.results.stage, p.run, p.stop, p.results.run_id, p.picture.seed],
        **EVERY_PRESS,
        **MODEL_QUEUE,
        **QUIET,
    )
