"""A map as the model sees it, and what lies under a canvas, as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hgc.control.annotators import ANNOTATORS, LINES
from hgc.control.canvas import Pixels
from hgc.control.fitting import fit, on_sheet
from hgc.control.images import WHITE, ImageRefused, decode
from hgc.models.presets import CONTROLS
from hgc.ui.components.easel import CANVAS_PX
from hgc.ui.pictures import png_url
from hgc.ui.remarks import notes_list

if TYPE_CHECKING:
    from hgc.ui.playground.drawing import ControlInput
    from hgc.ui.playground.size import Size

MAPS = {"edges": "Edge map", "segmentation": "Segmentation map"}
NO_PHOTO = '<h3>As the model sees it</h3><p class="aside">Drop a photo to see its map here.</p>'
NO_LINES = '<h3>As the model sees it</h3><p class="aside">Draw some lines to see their map here.</p>'
READING = '<h3>As the model sees it</h3><p class="aside busy" role="status">Reading your photo…</p>'
READING_SLOWLY = (
    '<h3>As the model sees it</h3><p class="aside busy" role="status">Reading your photo. The first time, this '
    "detector's weights are fetched, which can take a minute; you can choose another meanwhile.</p>"
)


def seen_picture(control_map: Pixels | None) -> str:
    """The map itself, uint8 [H, W, 3]; None leaves its place bare."""
    if control_map is None:
        return '<div class="none"></div>'
    return f'<img alt="The control map as the model sees it" src="{png_url(control_map)}">'


def seen_text(notes: tuple[str, ...], given: ControlInput | None = None) -> str:
    """The words beside the map as the model sees it; without a drawing, of the example that the page opens with."""
    lines = given is not None and given.control in LINES
    kind = "Segmentation map" if given is None else MAPS.get(given.control, CONTROLS[given.control])
    annotator = None if given is None or given.annotator is None else ANNOTATORS.get(given.annotator)
    if annotator is not None:
        kind += f", read from your photo by {annotator.label}"
    areas = given is None or given.control == "segmentation"
    exact = "Exact colours: no pixel was snapped." if areas else "Left as it is."
    untouched = "White lines on black: left as they are." if lines else exact
    remarks = notes_list(notes) or ("" if annotator is not None else f'<p class="aside">{untouched}</p>')
    return f"<h3>As the model sees it</h3><p>{kind}</p>{remarks}"


def under_sheet(photo: Pixels) -> str:
    """A photo of the canvas's size under both sheets, paled so that strokes stand out; it is no part of the drawing."""
    paled = f'linear-gradient(rgb(255 255 255 / 45%) 0 0), url("{png_url(photo)}")'
    return (
        f"<style>#control-card .sheet {{ background: {paled} center / cover !important }}</style>"
        '<p class="aside">Your photo is shown under the canvas. Only what you draw is used.</p>'
    )


def under_mask(size: Size, picture: str | None) -> str:
    """A style that lays the picture under the mask's sheet, through which it is seen; nothing without one."""
    if picture is None:
        return ""
    try:
        pixels = decode(Path(picture)).pixels
    except ImageRefused:
        return ""
    scale = min(1, CANVAS_PX / max(size))
    shape = (round(size[1] * scale), round(size[0] * scale))
    shown = on_sheet(fit(pixels, shape, "photo"), shape, WHITE)
    return (
        f'<style>#mask .sheet {{ background: url("{png_url(shown)}") center / 100% 100% !important }} '
        "#mask .sheet canvas { opacity: 0.55 }</style>"
    )
