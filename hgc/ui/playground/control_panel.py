"""Where the drawing comes from: palette, pen, photo or example; and the control map as the model sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.landscapes import examples
from hgc.landscapes.examples import Example
from hgc.landscapes.labels import LABELS
from hgc.ui.components.easel import build_easel
from hgc.ui.components.inputs import models_list, photo_input
from hgc.ui.playground.drawing import AUTO, PEN, sheet_of
from hgc.ui.playground.map_seen import seen_picture, seen_text
from hgc.ui.playground.map_source import build_map_source, show_chosen
from hgc.ui.playground.more_panel import MorePanel, build_more_panel
from hgc.ui.playground.palettes import palettes, swatches
from hgc.ui.playground.reading_panel import ReadingPanel, build_reading_panel
from hgc.ui.playground.reading_ways import LANDSCAPES
from hgc.ui.playground.titles import control_titles

PEN_PX = 6
KINDS = "Areas and lines can be drawn. Inpainting reads the picture to begin from, others a photo or map."
KINDS_HERE = "Areas can be painted for a label map and for depth, lines drawn for edges."
AS_DRAWN = "As it is drawn, or read from a photo"
TOLD = {"segmentation", "edges"}  # controls that what is drawn tells apart: nobody has to choose
LINE_TOOLS = ("brush", "line", "eraser")


@dataclass(frozen=True)
class ControlPanel:
    """The components of the panel; `offered` hides the sources that make no map for the control.

    `number` is the place of a look at the drawing among all looks of the page.
    """

    which: gr.Dropdown
    source: gr.Radio
    offered: gr.HTML
    painting: gr.HTML
    lines: gr.HTML
    photo: gr.Image
    reading: ReadingPanel
    edit: gr.Button
    trace: gr.Button
    tracing: gr.Row
    under: gr.HTML
    lift: gr.Button
    seen: gr.HTML
    notes: gr.HTML
    number: gr.Number
    gallery: gr.Gallery
    examples_panel: gr.Column
    more: MorePanel

    @property
    def drawing(self) -> list[Any]:
        """The inputs of `drawn`."""
        return [
            self.source,
            self.painting,
            self.lines,
            self.photo,
            self.annotator,
            self.more.size,
            self.which,
            *self.more.source.read,
            *self.reading.fields,
        ]

    @property
    def looked(self) -> list[Any]:
        """The inputs of a look at the drawing."""
        return [self.number, *self.drawing]

    @property
    def map(self) -> list[Any]:
        """The components that decide which control reads the map: the first inputs of `wanted.control_of`."""
        return [self.source, self.annotator, self.which]

    @property
    def annotator(self) -> gr.Dropdown:
        return self.reading.annotator


def build_control_panel() -> ControlPanel:
    """Lays the panel out, with the first example loaded."""
    first = examples.gallery()[0]
    with gr.Column(elem_classes="card", elem_id="control-card"):
        gr.HTML('<h2>Control</h2><p class="aside">The picture will follow this map.</p>')
        which, source, offered = _kind_and_source()
        with gr.Row(visible=False, elem_id="tracing") as tracing:
            under = gr.HTML("", elem_id="under", min_width=140)
            lift = gr.Button("Take the photo away", size="md", elem_id="lift", scale=0, min_width=190)
        with gr.Column(visible=True, elem_id="paint-panel") as paint_panel:
            painting = _painting(first)
        with gr.Column(visible=False, elem_id="lines-panel") as lines_panel:
            lines = _lines()
        with gr.Column(visible=False, elem_id="photo-panel") as photo_panel:
            photo, reading, edit, trace = _photo()
        seen, notes = _seen(first)
        number = gr.Number(0, precision=0, visible=False)
        with gr.Column(elem_id="examples-panel") as examples_panel:
            gallery = _gallery()
        more = build_more_panel()
    show_chosen(source, paint_panel, lines_panel, photo_panel)
    return ControlPanel(
        which,
        source,
        offered,
        painting,
        lines,
        photo,
        reading,
        edit,
        trace,
        tracing,
        under,
        lift,
        seen,
        notes,
        number,
        gallery,
        examples_panel,
        more,
    )


def _kind_and_source() -> tuple[gr.Dropdown, gr.Radio, gr.HTML]:
    """Which kind of map, and where it comes from."""
    titles = [] if set(LANDSCAPES) <= TOLD else control_titles(LANDSCAPES, LANDSCAPES)
    which = models_list(
        [(AS_DRAWN, AUTO), *titles],
        AUTO,
        label="Kind of map",
        info=KINDS_HERE if titles else KINDS,
        visible=bool(titles),
        elem_id="which",
    )
    source = build_map_source("paint", label="Where the map comes from", elem_id="source")
    return which, source, gr.HTML("", elem_id="offered-sources")


def _seen(first: Example) -> tuple[gr.HTML, gr.HTML]:
    with gr.Row(elem_id="seen-row", equal_height=False):
        seen = gr.HTML(seen_picture(first.pixels), elem_id="seen", min_width=128)
        return seen, gr.HTML(seen_text(()), elem_id="seen-notes", min_width=140)


def _gallery() -> gr.Gallery:
    gr.HTML("<h3>Examples</h3>")
    return gr.Gallery(
        [(str(example.path), example.title) for example in examples.gallery()],
        label="Examples",
        show_label=False,
        format="png",
        columns=len(examples.gallery()),
        allow_preview=False,
        object_fit="cover",
        buttons=[],
        interactive=False,
        elem_id="examples",
    )


def _painting(first: Example) -> gr.HTML:
    return build_easel(
        sheet_of(first.pixels, "segmentation"),
        label="Canvas for areas",
        sets=palettes([LABELS]),
        elem_id="painting",
    )


def _lines() -> gr.HTML:
    gr.HTML('<p class="aside">Dark lines on white. The model reads them inverted, white on black.</p>')
    return build_easel(
        None,
        label="Canvas for lines",
        sets=[swatches("pen", {"pen": PEN}, "pen")],
        tools=LINE_TOOLS,
        brush_px=PEN_PX,
        elem_id="lines",
    )


def _photo() -> tuple[gr.Image, ReadingPanel, gr.Button, gr.Button]:
    photo = photo_input(
        label="Photo or finished map",
        show_label=False,
        sources=["upload", "clipboard"],
        height=260,
        buttons=[],
        elem_id="photo",
        placeholder="Drop a photo here, or click to choose one",
    )
    reading = build_reading_panel()
    with gr.Row(elem_id="on-canvas"):
        edit = gr.Button("Draw on this map", size="md", elem_id="edit-map", min_width=150)
        trace = gr.Button("Draw over the photo", size="md", elem_id="trace", min_width=150)
    return photo, reading, edit, trace
