"""Places where nothing can be written, told in one sentence.

A command asks `check_place` before it computes anything, so that nobody waits for a result that has nowhere to go.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hgc.refused import Refused


class PlaceRefused(Refused, OSError):
    """A place where nothing can be written; one sentence says why and what to do."""


def check_place(path: Path, folder: bool = False) -> None:
    """Raises PlaceRefused where a file, or a folder of files, could not be written; writes nothing that stays."""
    with told(path):
        there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
        if there == path and there.is_dir() is not folder:
            kind = "a file; name a folder" if folder else "a folder; name a file"
            raise PlaceRefused(f"{path} is {kind}")
        home = there if there.is_dir() else there.parent
        if there != path and not there.is_dir():
            raise PlaceRefused(f"{path} lies beneath {there}, which is a file: name another place")
        longest = os.pathconf(home, "PC_NAME_MAX")
        if long := [part for part in path.parts if len(os.fsencode(part)) > longest]:
            raise PlaceRefused(f"'{long[0][:40]}…' has {len(long[0])} characters, a name at most {longest}: shorten it")
        with tempfile.TemporaryFile(dir=home):
            pass


@contextmanager
def told(path: Path) -> Iterator[None]:
    try:
        yield
    except PlaceRefused:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        shown = str(path) if len(str(path)) <= 120 else f"{str(path)[:117]}…"
        raise PlaceRefused(f"{shown!r} cannot be written ({reason}): name another place or make room") from error
