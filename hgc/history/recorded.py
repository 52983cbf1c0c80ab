"""The recorded run that comes with Studio, for a page whose model is not loaded yet."""

from __future__ import annotations

from pathlib import Path

from hgc.history.archive import read_archive
from hgc.history.record import Record

OPENING = Path(__file__).resolve().parents[2] / "assets" / "recorded" / "opening.zip"


def opening() -> Record:
    """The recording that the page opens with. Raises RecordRefused."""
    return read_archive(OPENING.read_bytes())[0]
