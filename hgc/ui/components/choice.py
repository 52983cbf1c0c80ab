"""The event of a person's choice from a list (choice.js).

gradio's own `input` also comes whenever the list loses the focus, and its `select` never comes by keyboard.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

PRIVATE: dict[str, Any] = {"api_visibility": "private"}


def chosen(choices: gr.Dropdown) -> Any:
    """An event like `input`, which comes when a person takes another value than stood there. Call it in the page."""
    turns = gr.Number(0, visible=False, label=f"{choices.label}: choices")
    key = turns._id
    choices.focus(None, choices, None, js=f"(value) => {{ hgc.listOpened({key}, value); }}", **PRIVATE)
    choices.input(None, [choices, turns], turns, js=f"(value, turns) => hgc.choices({key}, value, turns)", **PRIVATE)
    return turns.change
