"""A ledger: a file of lines of JSON, one added at a time, so that long work goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hgc.unwritable import told


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Raises PlaceRefused; then all lines before are there, and perhaps a half."""
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write("\n" + json.dumps(record))


def lines_of(path: Path) -> Iterator[Any]:
    """What is written there; a line that was being written when a run was stopped is left out."""
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
