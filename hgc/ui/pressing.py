"""Buttons that start work and the one that stops it: every press has a number, and only the latest changes the page.

gradio's `cancels` is not used. It looks for what to end by function and session, so that a Stop still on its way ends
the run after it; and the page drops the events of a press while those of the one before are being ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from hgc.ui.queueing import MODEL_QUEUE, QUIET

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
class Step:
    """One function of what a press sets off; the press is its first input."""

    fn: Callable[..., Any]
    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = field(default_factory=list)


def wire_start(
    pressing: Pressing,
    button: gr.Button,
    note: Step,
    run: Step,
    take_up: Step | None = None,
    also: Mapping[Any, Any] | None = None,
    before_js: str = "",
) -> Any:
    """Answered at once in the browser, so that a press is felt even while the server is busy; then noted; then what it
    is made from is taken up, apart from the work, which waits for the model.

    `also` are further values that the press sets.
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
    return begin(run.fn, [pressing.press, *run.inputs], run.outputs, **EVERY_PRESS, **MODEL_QUEUE, **QUIET)


def wire_stop(pressing: Pressing, stop: Step) -> None:
    """Felt at once, then told to the work."""
    felt = f"() => ({json.dumps(OFF)})"
    pressing.stop.click(None, None, pressing.stop, js=felt, api_visibility="private")
    asked = [pressing.press, *stop.inputs]
    pressing.stop.click(stop.fn, asked, stop.outputs, queue=False, **EVERY_PRESS, **QUIET)
