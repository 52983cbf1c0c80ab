"""A second control: which one, its map, drawn or from a photo, and its strength and window."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.control.annotators import ANNOTATORS, LINES, serves
from hgc.models.presets import CONTROLS
from hgc.ui.components.easel import build_easel
from hgc.ui.components.inputs import models_list, photo_input, shown_when
from hgc.ui.playground.drawing import AS_MAP, PEN, READY, hexed, seen_picture
from hgc.ui.playground.reading_panel import LANDSCAPES, UNFETCHED

NONE = "none"
NOT_HERE = "weights not here"
# Their maps are no pictures of one kind: the one is masked with numbers that no picture holds.
UNDRAWN = ("inpaint",)


@dataclass(frozen=True)
class SecondPanel:
    """The components; `body` is seen while a second control is chosen."""

    control: gr.Dropdown
    body: gr.Column
    way: gr.Radio
    lines_panel: gr.Column
    lines: gr.HTML
    photo_panel: gr.Column
    photo: gr.Image
    annotator: gr.Dropdown
    scale: gr.Slider
    start: gr.Slider
    end: gr.Slider
    seen: gr.HTML
    notes: gr.HTML

    @property
    def drawing(self) -> list[Any]:
        """The inputs of `more.second_map`."""
        return [self.control, self.way, self.lines, self.photo, self.annotator]

    @property
    def weights(self) -> list[gr.Slider]:
        return [self.scale, self.start, self.end]


def control_titles(controls: Sequence[str], here: Collection[str]) -> list[tuple[str, str]]:
    """A model's controls by title; those whose weights would have to be fetched are marked."""
    drawn = [name for name in CONTROLS if name in controls and name not in UNDRAWN]
    return [(CONTROLS[name] + ("" if name in here else f" ({NOT_HERE})"), name) for name in drawn]


def second_choices(controls: Sequence[str] = LANDSCAPES, here: Collection[str] = LANDSCAPES) -> list[tuple[str, str]]:
    """Without one first."""
    return [("None", NONE), *control_titles(controls, here)]


def ways_to(control: str) -> list[tuple[str, str]]:
    """The ways from a photo to a control's map, those first that need nothing; what has to be fetched is marked."""
    known = [way for way in ANNOTATORS.values() if serves(way.name, control) and way.kind != "shuffle"]
    marks = {way.name: "" if way.ready() else f" ({UNFETCHED})" for way in known}
    read = [(f"{way.label}: {way.hint}{marks[way.name]}", way.name) for way in known]
    free = [entry for entry in read if not ANNOTATORS[entry[1]].needs_weights]
    return [*free, (READY[AS_MAP][1], AS_MAP), *(entry for entry in read if entry not in free)]


def build_second_panel() -> SecondPanel:
    """Lays it out, without a second control."""
    control = models_list(
        second_choices(),
        NONE,
        label="Second control",
        info="Another map that the picture follows at the same time. It costs more, and the forecast says how much.",
        elem_id="second",
    )
    with gr.Column(visible=False, elem_id="second-body") as body:
        way = gr.Radio(
            [("Draw lines", "lines"), ("Use a photo", "photo")],
            value="photo",
            show_label=False,
            label="Where the second map comes from",
            elem_id="second-way",
            elem_classes="segmented",
        )
        with gr.Column(visible=False, elem_id="second-lines-panel") as lines_panel:
            lines = build_easel(
                None,
                label="Canvas for the second lines",
                colours={"pen": hexed(PEN)},
                chosen=hexed(PEN),
                tools=("brush", "line", "eraser"),
                brush_px=6,
                elem_id="second-lines",
            )
        with gr.Column(elem_id="second-photo-panel") as photo_panel:
            photo = photo_input(
                label="Photo or finished map for the second control",
                show_label=False,
                sources=["upload", "clipboard"],
                height=180,
                buttons=[],
                elem_id="second-photo",
                elem_classes="photo",
                placeholder="Drop a photo or a finished map here, or click to choose one",
            )
            annotator = models_list(ways_to("edges"), AS_MAP, label="How to read it", elem_id="second-annotator")
        with gr.Row(elem_id="second-seen-row", elem_classes="seen-row", equal_height=False):
            seen = gr.HTML(seen_picture(None), elem_id="second-seen", elem_classes="seen", min_width=128)
            notes = gr.HTML("", elem_id="second-notes", elem_classes="seen-notes", min_width=140)
        scale = gr.Slider(0, 2, 1, step=0.05, label="Strength of the second map", elem_id="second-scale")
        with gr.Row():
            start = gr.Slider(0, 1, 0, step=0.05, label="From", elem_id="second-from", min_width=140)
            end = gr.Slider(0, 1, 1, step=0.05, label="Until", elem_id="second-until", min_width=140)
    shown_when(control, f"value !== '{NONE}'", body)
    shown_when(way, "value === 'lines'", lines_panel)
    shown_when(way, "value === 'photo'", photo_panel)
    return SecondPanel(
        control, body, way, lines_panel, lines, photo_panel, photo, annotator, scale, start, end, seen, notes
    )


def drawable(control: str) -> bool:
    """Whether its map can be drawn by hand as lines."""
    return control in LINES
