"""Files that are there whole or not at all: written beside their place and then put there in one move.

Whoever stops the program, or fills the disk, at any moment leaves what was there before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hgc.unwritable import told


def write_whole(path: Path, data: bytes) -> None:
    """Raises PlaceRefused; then what was there before is still there, and nothing beside it."""
    with told(path):
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
    with told(folder):
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


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
