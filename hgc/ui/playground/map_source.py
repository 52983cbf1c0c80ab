"""Where a map comes from: painted in areas, drawn in lines, or a photo; one choice for every control."""

from __future__ import annotations

from typing import Any

import gradio as gr

SOURCES = (("Paint areas", "paint"), ("Draw lines", "lines"), ("Use a photo", "photo"))


def build_map_source(value: str, *, label: str, elem_id: str) -> gr.Radio:
    """The choice; `value` is one of SOURCES' names."""
    return gr.Radio(
        list(SOURCES), value=value, show_label=False, label=label, elem_id=elem_id, elem_classes="segmented"
    )


def show_chosen(source: gr.Radio, paint: Any, lines: Any, photo: Any) -> None:
    """Shows the chosen source's panel and hides the others, in the browser."""
    names = [name for _, name in SOURCES]
    shown = f"(s) => {names}.map((name) => ({{__type__: 'update', visible: s === name}}))"
    source.change(None, source, [paint, lines, photo], js=shown, api_visibility="private")
