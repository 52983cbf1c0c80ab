"""The pictures of a sweep as one, with the axes' values beside them."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hgc.sweep.grid import Sweep

TILE_PX, GAP_PX, EDGE_PX, LETTERS_PX = 192, 6, 34, 15
INK, PAPER, ABSENT = "#232932", "#ffffff", "#e4e7eb"


def sheet(sweep: Sweep, pictures: Mapping[str, NDArray[np.uint8]]) -> Image.Image:
    """Cached pictures uint8 [H, W, 3] by their runs' keys, the first seed of each place; grey where there is none."""
    font = ImageFont.load_default(LETTERS_PX)
    side = [""] if sweep.y is None else [f"{sweep.y.setting.title} {label}" for label in sweep.y.labels]
    left = GAP_PX + max(round(font.getlength(label)) for label in side) + GAP_PX
    size = (left + sweep.columns * (TILE_PX + GAP_PX), EDGE_PX + sweep.rows * (TILE_PX + GAP_PX))
    drawn = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(drawn)
    for column, label in enumerate(sweep.x.labels):
        middle = left + column * (TILE_PX + GAP_PX) + TILE_PX // 2
        pen.text((middle, EDGE_PX // 2), f"{sweep.x.setting.title} {label}", INK, font, anchor="mm")
    for row, label in enumerate(side):
        middle = EDGE_PX + row * (TILE_PX + GAP_PX) + TILE_PX // 2
        pen.text((left - GAP_PX, middle), label, INK, font, anchor="rm")
    for cell in sweep.cells:
        corner = (left + cell.column * (TILE_PX + GAP_PX), EDGE_PX + cell.row * (TILE_PX + GAP_PX))
        if cell.repeat == 0:
            drawn.paste(_tile(pictures.get(cell.key)), corner)
    return drawn


def _tile(picture: NDArray[np.uint8] | None) -> Image.Image:
    if picture is None:
        return Image.new("RGB", (TILE_PX, TILE_PX), ABSENT)
    return Image.fromarray(picture).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)


def png_of(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
