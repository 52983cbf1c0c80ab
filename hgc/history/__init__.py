"""Runs that are kept: as records, in archives that travel, and in one SQLite file."""

from hgc.history.archive import OPENING, opening, read_archive, write_archive
from hgc.history.place import NOWHERE, HistoryPlace, place_of
from hgc.history.record import KeptArm, Record, RecordRefused
from hgc.history.store import Entry, History, HistoryRefused

__all__ = [
    "NOWHERE",
    "OPENING",
    "Entry",
    "History",
    "HistoryPlace",
    "HistoryRefused",
    "KeptArm",
    "Record",
    "RecordRefused",
    "opening",
    "place_of",
    "read_archive",
    "write_archive",
]
