"""Where the drawing comes from: palette, pen, photo or example; and the control map as the model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import gradio as gr
import numpy as np

from hgc.control.annotators import ANNOTATORS, AnnotatorUnavailable
from hgc.control.canvas import Pixels, compose
from hgc.control.images import ImageRefused, decode
from hgc.landscapes.labels import PALETTE
from hgc.ui.examples import Example, examples
from hgc.ui.figures import notes_list

if TYPE_CHECKING:
    from hgc.service import Prepared
    from hgc.ui.loader import StudioLike

Source = Literal["paint", "lines", "photo"]
Control = Literal["segmentation", "edges"]

CANVAS_PX = 512
BRUSH_PX = {"Fine": 10, "Medium": 26, "Broad": 60}
PEN = "#1b1f26"
# A photo's way to a map: the annotators of a kind the model can read, and two for maps that are ready.
AS_LABELS, AS_LINES = "as_labels", "as_lines"
READABLE = ("edges", "segmentation", "shuffle")


def photo_input(**look: Any) -> gr.Image:
    """An image input that hands over the file untouched.

    gradio would open it first and fail in its own words; hgc.control decodes it, or refuses it in one sentence.
    """
    photo = gr.Image(type="filepath", image_mode=None, format="png", **look)
    photo.preprocess = lambda payload: None if payload is None else payload.path
    return photo


@dataclass(frozen=True)
class ControlPanel:
    """The components of the panel."""

    source: gr.Radio
    painting: gr.ImageEditor
    lines: gr.ImageEditor
    photo: gr.Image
    annotator: gr.Dropdown
    seen: gr.Image
    notes: gr.HTML
    gallery: gr.Gallery

    @property
    def drawing(self) -> list[Any]:
        """The inputs of `drawn`."""
        return [self.source, self.painting, self.lines, self.photo, self.annotator]


def class_title(name: str) -> str:
    return name.replace("_", " or ")


def hexed(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def build_control_panel() -> ControlPanel:
    """Lays the panel out, with the first example loaded."""
    first = examples()[0]
    with gr.Column(elem_classes="card", elem_id="control-card"):
        gr.HTML('<h2>Control</h2><p class="aside">The picture will follow this map.</p>')
        source = gr.Radio(
            [("Paint areas", "paint"), ("Draw lines", "lines"), ("Use a photo", "photo")],
            value="paint",
            show_label=False,
            label="Where the map comes from",
            elem_id="source",
            elem_classes="segmented",
        )
        with gr.Column(visible=True, elem_id="paint-panel") as paint_panel:
            painting = _painting(first)
        with gr.Column(visible=False, elem_id="lines-panel") as lines_panel:
            lines = _lines()
        with gr.Column(visible=False, elem_id="photo-panel") as photo_panel:
            photo, annotator = _photo()
        with gr.Row(elem_id="seen-row", equal_height=False):
            seen = gr.Image(
                first.pixels,
                label="As the model sees it",
                show_label=False,
                format="png",
                interactive=False,
                height=128,
                width=128,
                buttons=["fullscreen"],
                elem_id="seen",
                min_width=128,
                scale=0,
            )
            notes = gr.HTML(seen_text(()), elem_id="seen-notes", min_width=140)
        gr.HTML("<h4>Examples</h4>")
        gallery = gr.Gallery(
            [(str(example.path), example.title) for example in examples()],
            label="Examples",
            show_label=False,
            format="png",
            columns=len(examples()),
            allow_preview=False,
            object_fit="cover",
            buttons=[],
            interactive=False,
            elem_id="examples",
        )
    source.change(
        None,
        source,
        [paint_panel, lines_panel, photo_panel],
        js="(s) => ['paint', 'lines', 'photo'].map((name) => ({__type__: 'update', visible: s === name}))",
        api_visibility="private",
    )
    return ControlPanel(source, painting, lines, photo, annotator, seen, notes, gallery)


def _painting(first: Example) -> gr.ImageEditor:
    with gr.Column(elem_id="palette-row"):
        palette = gr.Radio(
            [(class_title(name), hexed(colour)) for name, colour in PALETTE.items()],
            value=hexed(PALETTE["water"]),
            label="Paint with",
            elem_id="palette",
        )
        brush = gr.Radio(
            list(BRUSH_PX.items()), value=BRUSH_PX["Medium"], label="Brush", elem_id="brush", elem_classes="segmented"
        )
    editor = gr.ImageEditor(
        editor_value(first),
        elem_id="painting",
        label="Canvas for areas",
        **_canvas(_brush([hexed(colour) for colour in PALETTE.values()], hexed(PALETTE["water"]))),
    )
    colours = [hexed(colour) for colour in PALETTE.values()]
    gr.on(
        [palette.input, brush.input],
        None,
        [palette, brush],
        editor,
        js=f"""(colour, size) => {{
            setTimeout(() => hgc.takeBrush('painting'), 0);
            return {{__type__: 'update', brush: {{
                colors: {colours}, default_color: colour, default_size: size, color_mode: 'fixed'}}}};
        }}""",
        api_visibility="private",
    )
    return editor


def _lines() -> gr.ImageEditor:
    gr.HTML('<p class="aside">Dark lines on white. They become white lines on black, as the model reads them.</p>')
    return gr.ImageEditor(None, elem_id="lines", label="Canvas for lines", **_canvas(_brush([PEN], PEN, 6)))


def _brush(colours: list[str], chosen: str, size_px: int = BRUSH_PX["Medium"]) -> gr.Brush:
    return gr.Brush(colors=list(colours), default_color=chosen, default_size=size_px, color_mode="fixed")


def _canvas(brush: gr.Brush) -> dict[str, Any]:
    """What both canvases share: one layer of fixed size, exact pixels."""
    return {
        "type": "numpy",
        "image_mode": "RGBA",
        "format": "png",
        "show_label": False,
        "sources": (),
        "transforms": (),
        "layers": False,
        "canvas_size": (CANVAS_PX, CANVAS_PX),
        "fixed_canvas": True,
        "brush": brush,
        "eraser": gr.Eraser(default_size=BRUSH_PX["Medium"]),
        "buttons": [],
        "height": 430,
    }


def _photo() -> tuple[gr.Image, gr.Dropdown]:
    photo = photo_input(
        label="Photo or finished map",
        show_label=False,
        sources=["upload", "clipboard"],
        height=260,
        buttons=[],
        elem_id="photo",
        placeholder="Drop a photo here, or click to choose one",
    )
    choices = [(f"{a.label}: {a.hint}", a.name) for a in ANNOTATORS.values() if a.kind in READABLE]
    ready = [("It is a label map already", AS_LABELS), ("It is a line drawing already", AS_LINES)]
    annotator = gr.Dropdown(
        [*choices[:4], *ready, *choices[4:]],
        value="canny",
        label="How to read it",
        info="Lines go to the edges control, areas to the segmentation control.",
        elem_id="annotator",
        filterable=False,
    )
    return photo, annotator


def editor_value(example: Example) -> dict[str, Any]:
    """An example as an editor's value, enlarged without mixing colours."""
    large = cv2.resize(example.pixels, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_NEAREST)
    return {"background": large, "layers": [], "composite": large}


@dataclass(frozen=True)
class Drawn:
    """What a person gave: pixels uint8 [H, W, 3 or 4], the control that reads them, and how they become a map."""

    picture: Pixels
    control: Control
    annotator: str | None = None
    notes: tuple[str, ...] = ()


def drawn(
    source: Source,
    painting: Mapping[str, Any] | None,
    lines: Mapping[str, Any] | None,
    photo: str | None,
    annotator: str,
) -> Drawn:
    """Reads the panel's inputs. Raises ImageRefused where there is nothing to read."""
    if source == "photo":
        return read_photo(photo, annotator)
    if source == "lines":
        return Drawn(_sheet(lines), "edges")
    return Drawn(_sheet(painting), "segmentation")


def read_photo(path: str | None, annotator: str) -> Drawn:
    """An uploaded file as a person meant it. Raises ImageRefused."""
    if path is None:
        raise ImageRefused("There is no photo yet: drop one into the box or take an example.")
    decoded = decode(Path(path))
    control: Control
    if annotator in (AS_LABELS, AS_LINES):
        control = "segmentation" if annotator == AS_LABELS else "edges"
        return Drawn(decoded.pixels, control, None, decoded.notes)
    if annotator not in ANNOTATORS:
        raise ImageRefused(f"There is no annotator {annotator!r}: choose one of {', '.join(ANNOTATORS)}.")
    control = "edges" if ANNOTATORS[annotator].kind == "edges" else "segmentation"
    return Drawn(decoded.pixels, control, annotator, decoded.notes)


def _sheet(value: Mapping[str, Any] | None) -> Pixels:
    """The drawing [H, W, 4]; an untouched canvas is a bare sheet."""
    given = {} if value is None else value
    if given.get("layers") or any(given.get(part) is not None for part in ("composite", "background")):
        return compose(given)
    return np.zeros((CANVAS_PX, CANVAS_PX, 4), np.uint8)


@dataclass(frozen=True)
class Sheet:
    """A control map ready to be used: the bytes of its PNG and the control that reads it."""

    png: bytes
    control: Control


def prepare(studio: StudioLike, given: Drawn) -> tuple[Prepared, tuple[str, ...]]:
    """The map as the model will see it and all that is to be said about it. Raises ImageRefused."""
    try:
        prepared = studio.prepare_control(given.picture, given.control, given.annotator)
    except AnnotatorUnavailable as error:
        raise ImageRefused(str(error)) from error
    return prepared, (*given.notes, *prepared.notes)


def seen_text(notes: tuple[str, ...], given: Drawn | None = None) -> str:
    """What stands beside the map as the model sees it; without a drawing, of the example that the page opens with."""
    kind = "Edge map" if given is not None and given.control == "edges" else "Segmentation map"
    if given is not None and given.annotator is not None:
        kind += f", read from your photo by {ANNOTATORS[given.annotator].label}"
    found = notes_list(notes) or '<p class="aside">Nothing had to be changed.</p>'
    return f"<h4>As the model sees it</h4><p>{kind}</p>{found}"
