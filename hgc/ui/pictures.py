"""Pictures inside the page, without loss; those of every step are sent once and turned over in the browser."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hgc.control.canvas import Pixels

PNG_URL = "data:image/png;base64,"
# Blue where the full arm has more, orange where the cached one has, dark where both agree: the arms' own colours.
LESS, EQUAL, MORE = (126, 176, 226), (20, 24, 30), (240, 166, 30)


def png_url(picture: Pixels | Image.Image) -> str:
    """A picture, or pixels uint8 [H, W, 3 or 4], as the address of a PNG that holds itself."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return PNG_URL + b64encode(buffer.getvalue()).decode()


def words_by_step(texts: Sequence[str], tag: str = "span") -> str:
    """An element whose words are those of the chosen step."""
    first = escape(texts[0]) if texts else ""
    return f'<{tag} data-texts="{_attribute(texts)}">{first}</{tag}>'


def figure_by_step(alt: str, frames: Sequence[Pixels | None], caption: str) -> str:
    """A picture that is that of the chosen step, an empty place where there is none; `caption` is HTML.

    The place has the pictures' own proportions.
    """
    height, width = next((frame.shape[:2] for frame in frames if frame is not None), (1, 1))
    picture = f'<img alt="{escape(alt, quote=True)}" data-frames="{_attribute(urls(frames))}">'
    place = f'<div class="frame" style="--shape: {width} / {height}">{picture}</div>'
    return f"<figure>{place}<figcaption>{caption}</figcaption></figure>"


def urls(frames: Sequence[Pixels | None]) -> list[str]:
    """Small PNGs inside the page, one that comes again and again encoded once."""
    known: dict[int, str] = {}
    pictures = []
    for frame in frames:
        if frame is not None and id(frame) not in known:
            known[id(frame)] = png_url(frame)
        pictures.append("" if frame is None else known[id(frame)])
    return pictures


def two_sided(difference: NDArray[np.floating], top: float) -> Pixels:
    """Colours uint8 [h, w, 3] of a signed difference [h, w]: `top` and more is the brightest."""
    level = np.clip(difference / top, -1, 1)[..., None]
    ends = np.where(level < 0, np.array(LESS), np.array(MORE))
    return np.asarray(np.array(EQUAL) + np.abs(level) * (ends - np.array(EQUAL))).round().astype(np.uint8)


def _attribute(values: Sequence[str]) -> str:
    return escape(json.dumps(list(values), ensure_ascii=False), quote=True)
