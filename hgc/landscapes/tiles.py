"""Pictures side by side in one picture, with a line of text under each where it has one."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hgc.landscapes.artist import Picture
from hgc.whole import write_whole

PAPER, INK = (255, 255, 255), (40, 44, 52)
GAP_PX, LINE_PX = 6, 18


def tiled(
    pictures: Sequence[Picture], columns: int, side: int, lines: Sequence[str] = (), gap_px: int = GAP_PX
) -> Image.Image:
    """Pictures [H, W, 3] at side × side pixels, row by row; `lines` has a text for each, or is empty."""
    if lines and len(lines) != len(pictures):
        raise ValueError(f"{len(pictures)} pictures and {len(lines)} lines of text: give one for each, or none")
    rows = -(-len(pictures) // columns)
    step_x, step_y = side + gap_px, side + gap_px + (LINE_PX if lines else 0)
    sheet = Image.new("RGB", (columns * step_x - gap_px, rows * step_y - gap_px), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for i, picture in enumerate(pictures):
        x, y = i % columns * step_x, i // columns * step_y
        sheet.paste(Image.fromarray(np.asarray(picture)).resize((side, side), Image.Resampling.LANCZOS), (x, y))
        if lines:
            pen.text((x, y + side + 2), lines[i], INK, font)
    return sheet


def save_small(sheet: Image.Image, path: Path) -> int:
    """Writes a PNG with 64 tones a channel, half its size and no different to the eye; returns its bytes.

    The file is there whole or not at all. Raises PlaceRefused.
    """
    buffer = BytesIO()
    Image.fromarray((np.asarray(sheet) & 0xFC) | 2).save(buffer, "PNG", optimize=True)
    write_whole(path, buffer.getvalue())
    return buffer.tell()
