"""A second control: which one, its map, drawn or from a photo, and its strength and window."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.landscapes.labels import LABELS
from hgc.ui.components.easel import build_easel
from hgc.ui.components.inputs import models_list, photo_input, shown_when
from hgc.ui.playground.drawing import AS_MAP, PEN
from hgc.ui.playground.map_seen import seen_picture
from hgc.ui.playground.map_source import build_map_source, show_chosen
from hgc.ui.playground.palettes import palettes, swatches
from hgc.ui.playground.reading_panel import ReadingPanel, build_reading_panel
from hgc.ui.playground.reading_ways import LANDSCAPES
from hgc.ui.playground.titles import control_titles

NONE = "none"


@dataclass(frozen=True)
class SecondPanel:
    """The components; `body` is seen while a second control is chosen."""

    control: gr.Dropdown
    body: gr.Column
    way: gr.Radio
    offered: gr.HTML
    painting: gr.HTML
    lines: gr.HTML
    photo: gr.Image
    reading: ReadingPanel
    scale: gr.Slider
    start: gr.Slider
    end: gr.Slider
    seen: gr.HTML
    notes: gr.HTML

    @property
    def drawing(self) -> list[Any]:
        """The inputs of `second_map`, after those of the picture to begin from."""
        drawn = [self.control, self.way, self.painting, self.lines, self.photo, self.annotator]
        return [*drawn, *self.reading.fields]

    @property
    def annotator(self) -> gr.Dropdown:
        return self.reading.annotator

    @property
    def weights(self) -> list[gr.Slider]:
        return [self.scale, self.start, self.end]


def second_choices(controls: Sequence[str] = LANDSCAPES, here: Collection[str] = LANDSCAPES) -> list[tuple[str, str]]:
    """Without one first."""
    return [("None", NONE), *control_titles(controls, here)]


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
        way, offered, painting, lines, photo, reading = _map()
        with gr.Row(elem_id="second-seen-row", elem_classes="seen-row", equal_height=False):
            seen = gr.HTML(seen_picture(None), elem_id="second-seen", elem_classes="seen", min_width=128)
            notes = gr.HTML("", elem_id="second-notes", elem_classes="seen-notes", min_width=140)
        scale, start, end = _strength_and_window()
    shown_when(control, f"value !== '{NONE}'", body)
    return SecondPanel(control, body, way, offered, painting, lines, photo, reading, scale, start, end, seen, notes)


def _map() -> tuple[gr.Radio, gr.HTML, gr.HTML, gr.HTML, gr.Image, ReadingPanel]:
    """Where its map comes from: painted, drawn, or read from a photo."""
    way = build_map_source("photo", label="Where the second map comes from", elem_id="second-way")
    offered = gr.HTML("", elem_id="second-offered")
    with gr.Column(visible=False, elem_id="second-paint-panel") as paint_panel:
        painting = build_easel(
            None, label="Canvas for the second areas", sets=palettes([LABELS]), elem_id="second-painting"
        )
    with gr.Column(visible=False, elem_id="second-lines-panel") as lines_panel:
        lines = build_easel(
            None,
            label="Canvas for the second lines",
            sets=[swatches("pen", {"pen": PEN}, "pen")],
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
        reading = build_reading_panel("second-", AS_MAP)
    show_chosen(way, paint_panel, lines_panel, photo_panel)
    return way, offered, painting, lines, photo, reading


def _strength_and_window() -> tuple[gr.Slider, gr.Slider, gr.Slider]:
    """How strictly the picture follows the second map, and in which part of the steps."""
    scale = gr.Slider(
        0,
        2,
        1,
        step=0.05,
        label="Strength of the second map",
        info="How strictly the picture follows it. Higher is stricter; 0 ignores it.",
        elem_id="second-scale",
    )
    with gr.Row():
        before, after = (
            "Ignored before this share of the steps.",
            "Ignored after this share of the steps.",
        )
        start = gr.Slider(0, 1, 0, step=0.05, label="From", info=before, elem_id="second-from", min_width=140)
        end = gr.Slider(0, 1, 1, step=0.05, label="Until", info=after, elem_id="second-until", min_width=140)
    return scale, start, end
