"""Words and pictures that are those of the chosen step: sent once, and turned over in the browser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from hgc.control.canvas import Pixels
from hgc.ui.pictures import png_url


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


def _attribute(values: Sequence[str]) -> str:
    return escape(json.dumps(list(values), ensure_ascii=False), quote=True)
