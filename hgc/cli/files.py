"""Files that commands are given."""

from __future__ import annotations

from pathlib import Path

from hgc.request import RequestRefused


def read_file(path: Path, most_bytes: int, what: str) -> bytes:
    """Raises RequestRefused for what is not there, no file, or larger than `what` may be."""
    try:
        if not path.is_file():
            raise RequestRefused(f"{_shown(path)}: {_missing(path)}; give {what}")
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, RequestRefused):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RequestRefused(f"{_shown(path)}: {reason}; give {what}") from error
    if len(data) > most_bytes:
        raise RequestRefused(f"{_shown(path)}: more than the {most_bytes:,} bytes that are read; give {what}")
    return data


def read_text(path: Path, most_bytes: int, what: str) -> str:
    """The same as UTF-8. Raises RequestRefused."""
    try:
        return read_file(path, most_bytes, what).decode()
    except UnicodeDecodeError as error:
        raise RequestRefused(f"{_shown(path)}: not a text file; give {what}") from error


def _missing(path: Path) -> str:
    return "Is a directory" if path.is_dir() else "no file" if path.exists() else "No such file or directory"


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 120 else f"{text[:117]}…"
