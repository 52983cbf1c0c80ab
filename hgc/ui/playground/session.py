"""The form kept in the visitor's browser (session.js), and brought back when the page is opened again."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.ui.playground.control_events import look_after
from hgc.ui.playground.run_events import PRESS_AGAIN_JS, RunEvents
from hgc.ui.queueing import QUIET

if TYPE_CHECKING:
    from hgc.ui.playground.tab import Playground

JS_ONLY: dict[str, Any] = {"api_visibility": "private"}


def kept_in_browser(p: Playground) -> dict[str, Any]:
    """The form's values that the browser keeps, by name; of a photo it keeps where the server has the file."""
    parts = [*p.control.drawing, *p.fields.values(), p.picture.lock, p.own.name, *p.cache.wanted, *p.cache.settings]
    parts += p.control.more.inputs
    return {part.elem_id: part for part in parts}


def stamp_of(parts: dict[str, Any]) -> str:
    """Names what the fields can hold: what was kept by a page of other fields is not brought back."""
    bounds = ("choices", "minimum", "maximum")
    described = [(name, *(repr(getattr(part, bound, None)) for bound in bounds)) for name, part in parts.items()]
    return sha256(json.dumps(described).encode()).hexdigest()[:12]


def wire_brought_back(p: Playground, *events: Any) -> None:
    """After these events the form says what was brought back, until somebody changes it."""
    parts = kept_in_browser(p)
    call = f"(...values) => {{ hgc.broughtBack({json.dumps(list(parts))}, values); }}"
    for event in events:
        event.success(None, list(parts.values()), None, js=call, **JS_ONLY)


def wire_remembering(p: Playground) -> None:
    """Keeps every change."""
    parts = kept_in_browser(p)
    fields = list(parts.values())
    remember = f"(...values) => {{ hgc.remember({json.dumps(list(parts))}, values); }}"
    gr.on([part.change for part in fields], None, fields, None, js=remember, **JS_ONLY)


def wire_session(page: gr.Blocks, p: Playground) -> Any:
    """Brings the form back when the page opens; the event that has, for what goes by the form."""
    parts, results = kept_in_browser(p), p.results
    fields, names = list(parts.values()), json.dumps(list(parts))
    results.run_id.change(lambda run: run or "", results.run_id, results.last, queue=False, **QUIET)
    results.last.change(None, results.last, None, js="(run) => { hgc.lastRun(run); }", **JS_ONLY)
    recall = f"() => hgc.recall({json.dumps(stamp_of(parts))}, {names})"
    recalled = page.load(None, None, [p.pressing.press, results.last, *fields], js=recall, **JS_ONLY)

    events = RunEvents(p)
    shown = [*results.filled, results.told, *p.pressing.buttons, results.run_id, p.picture.seed, p.again]
    recalled.then(events.come_back, [p.pressing.press, results.last], shown, concurrency_limit=None, **QUIET)
    look_after(recalled, p)
    p.again.change(None, p.again, None, js=PRESS_AGAIN_JS, **JS_ONLY)
    p.restored.start_over.click(None, None, None, js="() => { hgc.startOver(); }", **JS_ONLY)
    return recalled
