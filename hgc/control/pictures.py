"""The pictures that a request carries beside its control map: one to begin from, and the mask of what is made anew.

An inpainting control reads both: its map is made from them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from hgc import limits

from .canvas import Pixels, painted
from .fitting import fit, on_sheet
from .images import BLACK, WHITE, decode
from .reading import Reading

QUALITIES = (95, 85, 70)
INPAINT = "inpaint"  # the control whose map is the picture to begin from, without what is made anew


def as_source(picture: Pixels, size: tuple[int, int], reading: Reading | None = None) -> str:
    """A picture to begin from, uint8 [H, W, 3], at a size (width, height): in base64 a PNG, or a smaller JPEG."""
    image = Image.fromarray(_framed(picture[:, :, :3], size, reading or Reading(), WHITE))
    encoded = _encoded(image, "PNG")
    for quality in QUALITIES:
        if len(encoded) <= limits.PICTURE_CHARS:
            break
        encoded = _encoded(image, "JPEG", quality=quality, subsampling=0)
    return encoded


def as_mask(picture: Pixels, size: tuple[int, int], reading: Reading | None = None) -> str:
    """A mask at a size (width, height), a PNG in base64: white where a picture, uint8 [H, W, 3], is bright.

    Of a drawing on a bare sheet, uint8 [H, W, 4], white is what is painted.
    """
    rgb, drawn = painted(picture)
    bright = drawn if picture.shape[2] == 4 else rgb.max(axis=2) > 127
    mask = np.repeat(bright[:, :, None].astype(np.uint8) * np.uint8(255), 3, axis=2)
    return _encoded(Image.fromarray(_framed(mask, size, reading or Reading(), BLACK, labels=True)), "PNG")


def as_inpainting_map(picture: Pixels, mask: str) -> Pixels:
    """The map of an inpainting control: a picture uint8 [H, W, 3], black where a mask of its size has it made anew."""
    anew = decode(b64decode(mask)).pixels.max(axis=2, keepdims=True) > 127
    return np.where(anew, np.uint8(0), picture)


def _framed(
    picture: Pixels, size: tuple[int, int], reading: Reading, bare: tuple[int, int, int], labels: bool = False
) -> Pixels:
    shape = size[::-1]
    return on_sheet(
        fit(picture, shape, "labels" if labels else "photo", reading.framing, reading.position), shape, bare
    )


def _encoded(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return b64encode(buffer.getvalue()).decode()
