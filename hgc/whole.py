"""Files that are there whole or not at all: written beside their place and then put there in one move.

Whoever stops the program, or fills the disk, at any moment leaves what was there before. A command asks `check_place`
before it computes anything, so that nobody waits for a result that has nowhere to go.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hgc.refused import Refused


class PlaceRefused(Refused, OSError):
    """A place where nothing can be written; one sentence says why and what to do."""


def write_whole(path: Path, data: bytes) -> None:
    """Raises PlaceRefused; then what was there before is still there, and nothing beside it."""
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(part, 0o666 & ~_UMASK)
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Adds a line of JSON to a ledger. Raises PlaceRefused; then all lines before are there, and perhaps a half."""
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write("\n" + json.dumps(record))


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files by their plain names into a folder: a new one appears with all of them or not at all.

    Raises PlaceRefused, and ValueError for a name that is none.
    """
    if strange := [name for name in files if Path(name).name != name or name in ("", ".", "..")]:
        raise ValueError(f"{strange[0]!r} is not a file name")
    if folder.is_dir():
        for name, data in files.items():
            write_whole(folder / name, data)
        return
    with _told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=folder.parent))
        try:
            for name, data in files.items():
                (part / name).write_bytes(data)
            part.chmod(0o777 & ~_UMASK)
            os.rename(part, folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def check_place(path: Path, folder: bool = False) -> None:
    """Raises PlaceRefused where a file, or a folder of files, could not be written; writes nothing that stays."""
    with _told(path):
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
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except PlaceRefused:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        shown = str(path) if len(str(path)) <= 120 else f"{str(path)[:117]}…"
        raise PlaceRefused(f"{shown!r} cannot be written ({reason}): name another place or make room") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
