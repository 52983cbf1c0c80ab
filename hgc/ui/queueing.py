"""How the page's events wait for their turn, and how they answer."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

# The page's own: no progress bar over what they fill, no place among the endpoints.
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# What the page does with the model waits in one line.
MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
# So many endpoints read, plan and prepare at once, and wait for the model only then, in the worker's own line: whoever
# asks for a plan that takes long keeps nobody else waiting.
ENDPOINTS_QUEUE: dict[str, Any] = {"concurrency_id": "endpoints", "concurrency_limit": 8}
# Side by side, so that nobody waits for another's photo; of a visitor's looks the latest stays (playground/looks).
LOOK_QUEUE: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 8}


def answer_last(
    events: Sequence[Any], answer: Callable[..., Any], inputs: Sequence[Any], outputs: Any, **how: Any
) -> Any:
    """The server answers the last of these events; those that come while it is at it are one.

    It hangs on a step of the browser's, since gradio takes all listeners of an event again when it answers the last.
    """
    noted = gr.on(events, None, None, None, js="() => []", api_visibility="private")
    return noted.then(answer, inputs, outputs, trigger_mode="always_last", **(QUIET | how))


def let_in(page: Any, most: int) -> None:
    """Lets so many runs and endpoints in at once: they wait in the workers' own line, which tells each its place."""
    lines = (MODEL_QUEUE["concurrency_id"], ENDPOINTS_QUEUE["concurrency_id"])
    for event in page.fns.values():
        if event.concurrency_id in lines:
            event.concurrency_limit = most
