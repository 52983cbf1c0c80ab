"""gradio's inputs with a reading or an event of our own, which stay when an update makes gradio build the input anew.

The classes are made past gradio's metaclass, which would write a stub beside this file for each that it sees defined.
"""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

import gradio as gr

PRIVATE: dict[str, Any] = {"api_visibility": "private"}


def _reading(component: type, preprocess: Any) -> Any:
    """A component's class under its own name, by which the page finds its looks, with another way to read it."""
    return ABCMeta.__new__(type(component), component.__name__, (component,), {"preprocess": preprocess})


# The file untouched: gradio would open it first and fail in its own words; hgc.control decodes it or refuses it.
PhotoFile = _reading(gr.Image, lambda self, payload: None if payload is None else payload.path)
# A list that goes by the loaded model: what was chosen for another one is refused in our words.
ModelsList = _reading(gr.Dropdown, lambda self, payload: payload)


def photo_input(**look: Any) -> gr.Image:
    """An image input that hands over the file."""
    photo: gr.Image = PhotoFile(type="filepath", image_mode=None, format="png", **look)
    return photo


def models_list(choices: list[tuple[str, str]], value: str, **look: Any) -> gr.Dropdown:
    """A list whose entries follow the model; whatever value stands there is handed over."""
    made: gr.Dropdown = ModelsList(choices, value=value, filterable=False, **look)
    return made


def shown_when(part: Any, condition: str, body: Any) -> None:
    """Shows a body while a condition on `value`, in JavaScript, holds for what stands in a part."""
    shown = f"(value) => ({{__type__: 'update', visible: {condition}}})"
    part.change(None, part, body, js=shown, **PRIVATE)


def chosen(choices: gr.Dropdown) -> Any:
    """An event like `input`, which comes when a person takes another value than stood there (choice.js).

    gradio's own `input` also comes whenever the list loses the focus, and its `select` never comes by keyboard. Call it
    while the page is built.
    """
    turns = gr.Number(0, visible=False, label=f"{choices.label}: choices")
    key = turns._id
    choices.focus(None, choices, None, js=f"(value) => {{ hgc.listOpened({key}, value); }}", **PRIVATE)
    choices.input(None, choices, turns, js=f"(value) => hgc.choices({key}, value)", **PRIVATE)
    return turns.change
