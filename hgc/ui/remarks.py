"""Short remarks anywhere on the page, as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def aside(text: str) -> str:
    """A quiet remark."""
    return f'<p class="aside">{escape(text)}</p>'


def notes_list(notes: Iterable[str], kind: str = "note") -> str:
    """Short remarks under a control; nothing at all when there are none."""
    items = "".join(f"<li>{escape(note[:1].upper() + note[1:])}</li>" for note in notes)
    return f'<div role="status"><ul class="notes {kind}">{items}</ul></div>' if items else ""
