"""A canvas to draw on: exact colours, fill, straight line, undo; its own because its strokes must never lag a choice.

gradio's ImageEditor takes up a chosen colour some time after the choice, smooths edges into colours of no class, and
forgets its history when the server fills an area.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from hgc.control.canvas import Pixels
from hgc.control.images import ImageRefused, decode_sheet
from hgc.ui.pictures import PNG_URL, png_url

CANVAS_PX = 512
TOOLS = {
    "brush": ("Brush", "Paints where you drag."),
    "line": ("Line", "Drag from end to end: a straight line."),
    "fill": ("Fill", "Click an area: all of it takes the colour."),
    "eraser": ("Eraser", "Bares the sheet again."),
}
# A set of colours: its name, its classes and the one to begin with.
Swatches = dict[str, Any]


def build_easel(
    drawing: Pixels | None,
    *,
    label: str,
    sets: Sequence[Swatches],
    tools: tuple[str, ...] = tuple(TOOLS),
    brush_px: int = 26,
    elem_id: str,
) -> gr.HTML:
    """The component; its value is the drawing as `png_url` writes it, None for a bare sheet.

    `sets` can be updated; a single swatch needs no choice and shows none.
    """
    return gr.HTML(
        None if drawing is None else png_url(drawing),
        label=label,
        html_template=_template(label, sets, tools, brush_px, bare=drawing is None),
        js_on_load="hgc.easel(element, props, trigger, watch);",
        sets=list(sets),
        apply_default_css=False,
        elem_id=elem_id,
    )


def from_url(url: str | None) -> Pixels:
    """The drawing uint8 [H, W, 4]; an untouched canvas is a bare sheet. Raises ImageRefused for what no canvas sent."""
    if not url:
        return np.zeros((CANVAS_PX, CANVAS_PX, 4), np.uint8)
    try:
        return decode_sheet(b64decode(url.removeprefix(PNG_URL), validate=True))
    except Base64Error as error:
        raise ImageRefused("The drawing arrived damaged: draw a stroke and try again.") from error


def _template(label: str, sets: Sequence[Swatches], tools: tuple[str, ...], brush_px: int, *, bare: bool) -> str:
    name = "-".join(label.lower().split())
    picks = "".join(_tool(name, tool, tool == tools[0]) for tool in tools)
    return f"""<div class="easel" data-name="{name}"{" data-bare" if bare else ""}>
<div class="palette" data-sets="{escape(json.dumps(list(sets)), quote=True)}"></div>
<div class="easel-tools">
<fieldset class="choices"><legend class="unseen">Tool</legend>{picks}</fieldset>
<label class="size"><span>Size</span><input type="range" min="2" max="96" value="{brush_px}" title="Brush width on a
sheet of {CANVAS_PX} pixels; [ and ] change it."><output>{brush_px}</output></label>
<span class="history">
<button type="button" class="quiet" data-do="undo" title="Ctrl+Z" aria-disabled="true">Undo</button>
<button type="button" class="quiet" data-do="redo" title="Ctrl+Y" aria-disabled="true">Redo</button>
<button type="button" class="quiet" data-do="clear" title="Empties the sheet; Undo restores it">Clear</button></span>
</div>
<div class="sheet"><canvas width="{CANVAS_PX}" height="{CANVAS_PX}" tabindex="0" role="application"
aria-label="{escape(label)}. Drag to draw; by keyboard: arrows move, Space puts the tool down and lifts it."
></canvas><i class="ring" hidden></i></div></div>"""


def _tool(name: str, tool: str, checked: bool) -> str:
    title, hint = TOOLS[tool]
    return (
        f'<label title="{hint}"><input type="radio" name="{name}-tool" value="{tool}"{" checked" if checked else ""}>'
        f"<span>{title}</span></label>"
    )
