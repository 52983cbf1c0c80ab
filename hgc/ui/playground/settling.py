"""The server's plans for the form, written there unless a person has set or asked for something else meanwhile.

gradio's `cancels` does not serve: an answer that is on its way when it is cancelled is written all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.ui.queueing import QUIET

if TYPE_CHECKING:
    from hgc.ui.playground.tab import Playground

ASKING_JS = "(_, ...values) => hgc.asking(values)"
# No two answers are equal, or the browser would not notice the second.
_SERIAL = count()


def settling_outputs(p: Playground) -> list[Any]:
    """The components that an answer may write; the first ones are the outputs of `CacheEvents.settle`."""
    panel = p.cache
    return [
        *panel.settings,
        panel.method_reason,
        panel.reason,
        panel.budget,
        panel.preset,
        panel.hand,
        panel.at_least_told,
    ]


def settle_after(
    event: Callable[..., Any],
    answer: Callable[..., Sequence[Any]],
    p: Playground,
    inputs: Sequence[Any],
    unless: Callable[[gr.Request], bool] = lambda page: False,
    asking_js: str = ASKING_JS,
    **how: Any,
) -> Any:
    """After an event the form is written as `answer(*inputs)` says, which gives the first of `settling_outputs`.

    Bind it to a `then`: an event of its own would be answered again in whole, listeners of others included, where one
    comes while the server is still at it.
    """
    field = p.cache.answer

    def numbered(page: gr.Request, asked: str, *values: Any) -> str:
        written = [] if unless(page) else answer(*values)
        return json.dumps({"asked": asked, "values": written, "serial": next(_SERIAL)})

    return event(numbered, [field, *inputs], field, js=asking_js, **QUIET, **how)


def wire_settling(p: Playground) -> None:
    """Writes the answers."""
    outputs = settling_outputs(p)
    written = f"(answer) => hgc.answered(answer, {len(outputs)})"
    p.cache.answer.change(None, p.cache.answer, outputs, js=written, api_visibility="private")


def answer_field() -> gr.Textbox:
    """Where answers arrive; nobody sees it."""
    return gr.Textbox("", visible=False, label="answer to the form")
