"""The page's name, what it is for, and how its model stands, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hgc.spread.here import place_of

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


def masthead(kind: str, status: str) -> str:
    """The page's name, what it is for, and how the model stands: loading, ready or failed."""
    return (
        '<header class="masthead"><div class="brand"><h1>HGC Studio</h1>'
        "<p>Draw a landscape and see it made twice: in full, and with a cache that still follows it.</p></div>"
        f'<span class="status {kind}" role="status"><i></i>{escape(status)}</span></header>'
    )


def ready_words(studio: Studio) -> str:
    """The loaded model, its device and its precision, in a few words; and the workers, where there are several."""
    workers = f" · {several} workers" if (several := place_of(studio).size) > 1 else ""
    return f"{studio.model.capitalize()} · {studio.device.upper()} · {studio.dtype}{workers}"
