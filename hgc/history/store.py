"""The history: records in one SQLite file, the oldest untagged forgotten first. Safe for many threads and processes."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from hgc import limits
from hgc.history.archive import read_archive, write_archive
from hgc.history.record import Record, RecordRefused
from hgc.refused import Refused

LIMIT_BYTES = 512 * 2**20
# How long one writer waits for another.
PATIENCE_S = 30.0
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    made_at TEXT NOT NULL,
    prompt TEXT NOT NULL,
    method TEXT NOT NULL,
    tags TEXT NOT NULL DEFAULT '',
    share REAL NOT NULL,
    bytes INTEGER NOT NULL,
    thumbnail BLOB NOT NULL,
    archive BLOB NOT NULL
) STRICT
"""
LOOKED_AT = "id, made_at, prompt, method, tags, share, bytes, thumbnail"
MAX_TAGS, MAX_TAG_CHARS = 12, 40


class HistoryRefused(Refused, RuntimeError):
    """Something the history cannot do; one sentence says what and what to do instead."""


@dataclass(frozen=True)
class Entry:
    """A kept run as the list shows it. `share` is its MACs as a share of full compute; `thumbnail` a small JPEG."""

    id: str
    made_at: str
    prompt: str
    method: str
    tags: tuple[str, ...]
    share: float
    size_bytes: int
    thumbnail: bytes


class History:
    """Every call opens the file anew, so that nothing is shared between threads. `owner` keeps visitors apart.

    Every method raises HistoryRefused when the file cannot be used.
    """

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path, self.limit_bytes = path, limit_bytes

    def keep(self, record: Record, owner: str = "") -> str:
        """Keeps a record and gives its id; the oldest untagged ones go when there is no room."""
        archive, thumbnail = write_archive([record]), record.thumbnail()
        size = len(archive) + len(thumbnail)
        with self._writing() as db:
            self._make_room(db, size)
            name, number = token_hex(8), _only(db, "SELECT coalesce(max(number), 0) + 1 FROM runs")
            db.execute(
                "INSERT INTO runs (id, number, owner, made_at, prompt, method, share, bytes, thumbnail, archive) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    name,
                    number,
                    owner,
                    record.made.at,
                    record.request.prompt,
                    record.method,
                    record.share,
                    size,
                    thumbnail,
                    archive,
                ),
            )
        return name

    def entries(self, search: str = "", owner: str = "", limit: int = 48) -> list[Entry]:
        """Newest first; every word of `search` stands in the prompt, the method or a tag."""
        where, values = _matching(search, owner)
        with self._reading() as db:
            rows = db.execute(f"SELECT {LOOKED_AT} FROM runs {where} ORDER BY number DESC LIMIT ?", (*values, limit))
            return [_entry(row) for row in rows]

    def count(self, search: str = "", owner: str = "") -> int:
        where, values = _matching(search, owner)
        with self._reading() as db:
            return _only(db, f"SELECT count(*) FROM runs {where}", values)

    def size_bytes(self) -> int:
        """The bytes that all kept runs take up."""
        with self._reading() as db:
            return _only(db, "SELECT coalesce(sum(bytes), 0) FROM runs")

    def load(self, name: str, owner: str = "") -> Record:
        """Raises HistoryRefused for a run that is no longer kept."""
        with self._reading() as db:
            row = db.execute("SELECT archive FROM runs WHERE id = ? AND owner = ?", (name, owner)).fetchone()
        if row is None:
            raise HistoryRefused("This run is no longer kept: choose another.")
        try:
            (record,) = read_archive(row[0])
        except RecordRefused as error:
            raise HistoryRefused(f"This run cannot be read: {error}.") from error
        return record

    def tag(self, names: Sequence[str], tags: str, owner: str = "") -> None:
        """Gives runs these comma-separated tags instead of those they had; tagged runs are never forgotten."""
        words = ", ".join(_tags(tags))
        self._change(f"UPDATE runs SET tags = ? WHERE {_named(names)}", (words, owner, *names))

    def tags(self, names: Sequence[str], owner: str = "") -> list[tuple[str, ...]]:
        """The tags of each of these runs."""
        with self._reading() as db:
            rows = db.execute(f"SELECT tags FROM runs WHERE {_named(names)}", (owner, *names)).fetchall()
        return [_split(row[0]) for row in rows]

    def delete(self, names: Sequence[str], owner: str = "") -> int:
        """Deletes runs for good and says how many there were."""
        return self._change(f"DELETE FROM runs WHERE {_named(names)}", (owner, *names))

    def export(self, names: Sequence[str], owner: str = "") -> bytes:
        """A zip of these runs, in this order."""
        return write_archive(self.load(name, owner) for name in names)

    def _make_room(self, db: sqlite3.Connection, size: int) -> None:
        free = self.limit_bytes - size - _only(db, "SELECT coalesce(sum(bytes), 0) FROM runs")
        oldest = db.execute("SELECT id, bytes FROM runs WHERE tags = '' ORDER BY number")
        gone = []
        while free < 0 and (row := oldest.fetchone()) is not None:
            gone.append(row[0])
            free += row[1]
        if free < 0:
            raise HistoryRefused(
                f"This run was not kept: it takes {size / 2**20:.1f} MB and tagged runs leave "
                f"{max(0, free + size) / 2**20:.1f} of {self.limit_bytes / 2**20:.0f} MB; delete some or untag them."
            )
        db.executemany("DELETE FROM runs WHERE id = ?", [(name,) for name in gone])

    def _change(self, query: str, values: Sequence[str]) -> int:
        """Changes what is there and says how many runs; on a full disk, too, where there is no room for the journal
        that would undo it: that is in memory then, and only a process killed in this very moment could do harm."""
        try:
            with self._writing() as db:
                return db.execute(query, values).rowcount
        except HistoryRefused as refusal:
            if not _out_of_room(refusal.__cause__):
                raise
        with self._writing("MEMORY") as db:
            return db.execute(query, values).rowcount

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db, self._told():
            yield db

    @contextmanager
    def _writing(self, journal: str = "DELETE") -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or, when the process is killed, nothing."""
        with self._open() as db, self._told():
            db.execute(f"PRAGMA journal_mode = {journal}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                # A full disk has ended the transaction already.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=PATIENCE_S, isolation_level=None)
        with closing(db):
            with self._told():
                _prepare(db)
            yield db

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        # sqlite3 raises the last one over what it wants to say of a damaged schema.
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            if _out_of_room(error):
                raise HistoryRefused(
                    f"There is no room left on the disk for {self.path.name} ({reason}): delete some runs."
                ) from error
            raise HistoryRefused(
                f"The history {self.path.name} cannot be used ({reason}): move it away and a new one begins, "
                "or switch the history off with --no-history."
            ) from error


def _out_of_room(error: BaseException | None) -> bool:
    """Whether a database could not write, the file that undoes it included, because the disk is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) in _NO_ROOM


_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_WRITE)


def _prepare(db: sqlite3.Connection) -> None:
    """Makes the table in a new file, once, whoever comes first."""
    db.text_factory = _as_text
    # SQLite's own lower() knows ASCII alone.
    db.create_function("folded", 1, str.casefold, deterministic=True)
    version = _only(db, "PRAGMA user_version")
    if version == 0:
        db.execute("PRAGMA auto_vacuum = FULL")
        db.execute("BEGIN IMMEDIATE")
        if _only(db, "PRAGMA user_version") == 0:
            if _only(db, "SELECT count(*) FROM sqlite_master"):
                raise sqlite3.DatabaseError("it is a database of another program")
            db.execute(SCHEMA)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    elif version != SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it has format {version}, this version reads format {SCHEMA_VERSION}")


def _as_text(data: bytes) -> str:
    """A bit that turned over in a prompt is no reason not to show the others."""
    return data.decode("utf-8", "replace")


def _only(db: sqlite3.Connection, query: str, values: Sequence[str] = ()) -> int:
    return int(db.execute(query, values).fetchone()[0])


def _matching(search: str, owner: str) -> tuple[str, list[str]]:
    words = search.casefold().split()
    if len(search) > limits.SEARCH_CHARS or len(words) > limits.SEARCH_WORDS:
        raise HistoryRefused(
            f"A search has at most {limits.SEARCH_WORDS} words and {limits.SEARCH_CHARS} characters: leave some out."
        )
    clauses = "".join(" AND instr(folded(prompt || ' ' || method || ' ' || tags), ?) > 0" for _ in words)
    return f"WHERE owner = ?{clauses}", [owner, *words]


def _named(names: Sequence[str]) -> str:
    if len(names) > limits.CHOSEN_RUNS:
        raise HistoryRefused(f"{len(names):,} runs are chosen, at most {limits.CHOSEN_RUNS:,} at once: take fewer.")
    return f"owner = ? AND id IN ({', '.join('?' for _ in names)})"


def _tags(text: str) -> list[str]:
    """The words between commas, each once. Raises HistoryRefused for too many or too long ones."""
    tags = list(dict.fromkeys(" ".join(tag.split()) for tag in re.split(r"[,;\n]", text) if tag.strip()))
    if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG_CHARS for tag in tags):
        raise HistoryRefused(f"At most {MAX_TAGS} tags of {MAX_TAG_CHARS} characters each can be given.")
    return tags


def _entry(row: tuple[str, str, str, str, str, float, int, bytes]) -> Entry:
    name, made_at, prompt, method, tags, share, size, thumbnail = row
    return Entry(name, made_at, prompt, method, _split(tags), share, size, thumbnail)


def _split(tags: str) -> tuple[str, ...]:
    return tuple(tags.split(", ")) if tags else ()
