"""Runs that are kept: as records, in archives that travel, and in one SQLite file."""

from hgc.history.archive import read_archive, write_archive
from hgc.history.record import KeptArm, Record, RecordRefused
from hgc.history.store import Entry, History, HistoryRefused

__all__ = [
    "Entry",
    "History",
    "HistoryRefused",
    "KeptArm",
    "Record",
    "RecordRefused",
    "read_archive",
    "write_archive",
]
