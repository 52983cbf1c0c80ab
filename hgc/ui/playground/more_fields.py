"""The panel of more to draw from as fields of a request, and a request put back there."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hgc.control.images import ImageRefused, decode
from hgc.control.pictures import INPAINT, as_mask, as_source
from hgc.request import SecondControl
from hgc.ui.components.easel import CANVAS_PX, from_url
from hgc.ui.pictures import png_url
from hgc.ui.playground.drawing import AS_MAP, READING, stretched
from hgc.ui.playground.lora_panel import INPUTS, lora_fields
from hgc.ui.playground.second_map import second_map
from hgc.ui.playground.second_panel import NONE
from hgc.ui.playground.size import OWN, Size
from hgc.ui.playground.source_panel import MASK, PART, WHOLE

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.request import Request
    from hgc.studio.studio import Studio
    from hgc.ui.playground.more_panel import MorePanel

DRAWING, WEIGHTS = 6 + len(READING), 3  # inputs of the second control
NO_MASK = "Nothing is painted over the picture: paint over the part to change, or change all of it."


def more_fields(studio: Studio, size: Size | None, values: Sequence[Any]) -> dict[str, Any]:
    """A recipe's fields of the values of `MorePanel.inputs`; none where nothing is asked for. Raises Refused."""
    pictures, loras = values[:-INPUTS], values[-INPUTS:]
    drawing, weights, source = pictures[:DRAWING], pictures[DRAWING : DRAWING + WEIGHTS], pictures[DRAWING + WEIGHTS :]
    fields = lora_fields(loras)
    if drawing[0] != NONE:
        begun = (source[0], *source[2:])
        prepared = second_map(studio, size, *begun, *drawing)
        fields["second"] = _second(drawing[0], b64encode(prepared.png).decode(), weights)
    return fields | source_fields(size or studio.size, *source)


def priced_fields(
    size: str, control: str, scale: float, start: float, end: float, picture: str | None, strength: float, *loras: Any
) -> dict[str, Any]:
    """The same of the values of `MorePanel.cost`, with blank pictures: no cost depends on what they show."""
    fields: dict[str, Any] = {"size": None if size == OWN else size} | lora_fields(loras)
    if control != NONE:
        fields["second"] = _second(control, _blank(), (scale, start, end))
    return fields | ({"source": _blank(), "strength": strength} if picture else {})


def source_fields(size: Size, picture: str | None, strength: float, part: str, mask: str | None) -> dict[str, Any]:
    """The fields of a picture to begin from, cut to the size. Raises ImageRefused."""
    if picture is None:
        return {}
    fields = {"source": as_source(decode(Path(picture)).pixels, size), "strength": strength}
    if part != PART:
        return fields
    sheet = from_url(mask)
    if not sheet[..., 3].any():
        raise ImageRefused(NO_MASK)
    return fields | {"mask": as_mask(stretched(sheet, size), size)}


def more_written(panel: MorePanel, request: Request) -> dict[Any, Any]:
    """The updates that put a request's second control, pictures and LoRAs there; what it has not is taken away."""
    loras = panel.loras.written(request.loras)
    return _second_written(panel, request.second) | _source_written(panel, request) | loras


def _second(control: str, png: str, weights: Sequence[float]) -> dict[str, Any]:
    return {"control": control, "map": png, **dict(zip(("scale", "start", "end"), weights, strict=True))}


def _second_written(panel: MorePanel, second: SecondControl | None) -> dict[Any, Any]:
    """A map comes back as a finished one: no line of it is drawn anew."""
    part = panel.second
    if second is None:
        return {part.control: NONE, part.photo: None}
    weights = {part.scale: second.scale, part.start: second.start, part.end: second.end}
    if second.control == INPAINT:  # whose picture and mask come back where they are given
        return {part.control: INPAINT, **weights}
    return {
        part.control: second.control,
        part.way: "photo",
        part.photo: _pixels(second.map),
        part.annotator: AS_MAP,
        **weights,
    }


def _source_written(panel: MorePanel, request: Request) -> dict[Any, Any]:
    part = panel.source
    if request.source is None:
        return {part.picture: None}
    written = {part.picture: _pixels(request.source), part.strength: request.strength, part.part: WHOLE}
    if request.mask is None:
        return written
    white = _pixels(request.mask)[:, :, 0] > 127
    sheet = np.zeros((*white.shape, 4), np.uint8)
    sheet[white] = (*MASK, 255)
    return written | {part.part: PART, part.mask: png_url(_on_canvas(sheet))}


def _on_canvas(sheet: Pixels) -> Pixels:
    """A mask's sheet on a canvas, which is square whatever the picture is."""
    import cv2

    return np.asarray(cv2.resize(sheet, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _pixels(encoded: str) -> Pixels:
    return decode(b64decode(encoded)).pixels


@cache
def _blank() -> str:
    return as_mask(np.zeros((8, 8, 3), np.uint8), (8, 8))
