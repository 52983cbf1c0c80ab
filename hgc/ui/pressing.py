"""Buttons that start work and the one that stops it: every press has a number, and only the latest changes the page.

gradio's `cancels` is not used. It looks for what to end by function and session, so that a Stop still on its way ends
the run after it; and the page drops the events of a press while those of the one before are being ended.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from hgc.ui.queueing import MODEL_QUEUE, QUIET

VISITORS_KEPT = 1024
# As session.js writes it: the browser's name for the tab, which outlives a reload, and the number.
_PRESS = re.compile(r"([0-9a-f-]{16,64})/([0-9]{1,9})")


@dataclass(frozen=True)
class Press:
    """The `number`-th press of Run on a visitor's page, counted by the page itself."""

    visitor: str
    number: int

    @classmethod
    def read(cls, text: str | None, session: str | None) -> Press:
        """From the page's own text; from anything else, a press of the session that never was."""
        known = _PRESS.fullmatch(text or "")
        return cls(known[1], int(known[2])) if known else cls(session or "", 0)

    @property
    def name(self) -> str:
        return f"{self.visitor}/{self.number}"


@dataclass
class Visit:
    """The highest numbers that were pressed, begun and stopped, and the event that stops the run begun last."""

    pressed: int = 0
    begun: int = 0
    stopped: int = 0
    stop: threading.Event | None = None


class Jobs:
    """Every visitor's latest press of Run; safe to use from several threads.

    Numbers only grow. A press takes the place of all before it, and a stop is meant for its own press and those before:
    one that arrives before the run has begun keeps it from beginning, one that arrives late spares the run after it.
    """

    def __init__(self, visitors: int = VISITORS_KEPT) -> None:
        self._limit = visitors
        self._lock = threading.Lock()
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def note(self, press: Press) -> None:
        """Run was pressed: what the visitor pressed before is to end."""
        with self._lock:
            self._note(press)

    def begin(self, press: Press) -> threading.Event | None:
        """The event that stops the new run; None when it was stopped, replaced or begun already."""
        with self._lock:
            visit = self._note(press)
            if press.number < visit.pressed or press.number <= max(visit.stopped, visit.begun):
                return None
            visit.begun, visit.stop = press.number, threading.Event()
            return visit.stop

    def stop(self, press: Press) -> None:
        """Stop was pressed while this press of Run was the last."""
        with self._lock:
            visit = self._visit(press)
            visit.stopped = max(visit.stopped, press.number)
            if visit.stop is not None and visit.begun <= press.number:
                visit.stop.set()

    def stopped(self, press: Press) -> bool:
        """Whether it was stopped and no later one has taken its place, so that the page may say so."""
        with self._lock:
            visit = self._visit(press)
            return press.number <= visit.stopped and press.number == visit.pressed

    def stands(self, press: Press) -> bool:
        """Whether it is the visitor's latest and was not stopped, so that its news belong on the page."""
        with self._lock:
            visit = self._visit(press)
            return visit.stopped < press.number == visit.pressed

    def began(self, press: Press) -> bool:
        """Whether its run has begun, so that the page may show news of it."""
        with self._lock:
            return self._visit(press).begun == press.number

    def waits(self, press: Press) -> bool:
        """Whether it is the visitor's latest and neither began nor was stopped: nobody does it any more."""
        with self._lock:
            visit = self._visit(press)
            return max(visit.begun, visit.stopped) < press.number == visit.pressed

    def _note(self, press: Press) -> Visit:
        visit = self._visit(press)
        visit.pressed = max(visit.pressed, press.number)
        if visit.stop is not None and visit.begun < visit.pressed:
            visit.stop.set()
        return visit

    def _visit(self, press: Press) -> Visit:
        visit = self._visits.setdefault(press.visitor, Visit())
        self._visits.move_to_end(press.visitor)
        while len(self._visits) > self._limit:
            self._visits.popitem(last=False)
        return visit


Updates = dict[Any, Any]
# No press is dropped while the events of the one before are still under way.
EVERY_PRESS: dict[str, Any] = {"trigger_mode": "multiple"}
TAKE_UP_QUEUE: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "take up"}
ON, OFF = {"__type__": "update", "interactive": True}, {"__type__": "update", "interactive": False}


@dataclass(frozen=True)
class Pressing:
    """The latest press, as session.js names and counts them, the buttons that start and the one that stops."""

    press: gr.Textbox
    starts: tuple[gr.Button, ...]
    stop: gr.Button

    @property
    def buttons(self) -> list[gr.Button]:
        return [*self.starts, self.stop]

    @property
    def ready(self) -> Updates:
        """For the next press."""
        return {start: gr.update(interactive=True) for start in self.starts} | {self.stop: gr.update(interactive=False)}

    @property
    def busy(self) -> Updates:
        return {start: gr.update(interactive=False) for start in self.starts} | {self.stop: gr.update(interactive=True)}

    @property
    def unchanged(self) -> Updates:
        """gradio empties the outputs of an answer without updates."""
        return {self.stop: gr.update()}


def build_press() -> gr.Textbox:
    """The unseen parts that `Pressing.press` needs."""
    return gr.Textbox("", visible=False, label="press")


@dataclass(frozen=True)
class PressStep:
    """One function of what a press sets off; the press is its first input."""

    fn: Callable[..., Any]
    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = field(default_factory=list)


def wire_start(
    pressing: Pressing,
    button: gr.Button,
    note: PressStep,
    run: PressStep,
    take_up: PressStep | None = None,
    also: Mapping[Any, Any] | None = None,
    before_js: str = "",
    queue: Mapping[str, Any] = MODEL_QUEUE,
) -> Any:
    """Answered at once in the browser, so that a press is felt even while the server is busy; then noted; then what it
    is made from is taken up, apart from the work, which waits for the model.

    `also` are further values that the press sets; `queue` is the line in which the work waits.
    """
    also = also or {}
    answers = json.dumps([*also.values(), *[OFF] * len(pressing.starts), ON])
    felt = f"(press) => {{ {before_js} return [hgc.nextPress(press), ...{answers}]; }}"
    button.click(None, pressing.press, [pressing.press, *also, *pressing.buttons], js=felt, api_visibility="private")
    noted = button.click(note.fn, [pressing.press, *note.inputs], note.outputs, queue=False, **EVERY_PRESS, **QUIET)
    begin = noted.then
    if take_up is not None:
        asked = [pressing.press, *take_up.inputs]
        begin = button.click(take_up.fn, asked, take_up.outputs, **TAKE_UP_QUEUE, **EVERY_PRESS, **QUIET).success
    return begin(run.fn, [pressing.press, *run.inputs], run.outputs, **EVERY_PRESS, **queue, **QUIET)


def wire_stop(pressing: Pressing, stop: PressStep) -> None:
    """Felt at once, then told to the work."""
    felt = f"() => ({json.dumps(OFF)})"
    pressing.stop.click(None, None, pressing.stop, js=felt, api_visibility="private")
    asked = [pressing.press, *stop.inputs]
    pressing.stop.click(stop.fn, asked, stop.outputs, queue=False, **EVERY_PRESS, **QUIET)
