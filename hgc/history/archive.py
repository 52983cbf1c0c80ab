"""Records in a zip, one folder a run: what History exports, `hgc replay` shows and the page opens with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from hgc.history.record import Record, RecordRefused
from hgc.refused import NO_ZIP

MAX_ARCHIVE_BYTES = 512 * 2**20
MAX_FILE_BYTES = 32 * 2**20
MAX_TOTAL_BYTES = 512 * 2**20
MAX_FILES = 20_000
ENTRY = re.compile(r"([\w-]{1,64})/([\w.]{1,64})")
# The earliest date that a zip can state: the same records give the same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)
OPENING = Path(__file__).resolve().parents[2] / "assets" / "recorded" / "opening.zip"


def write_archive(records: Iterable[Record]) -> bytes:
    """A zip with one folder for each record: PNGs, traces, request and figures as JSON."""
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for number, record in enumerate(records, 1):
            folder = f"{number:04}-{record.digest}"
            for name, data in record.files().items():
                info = ZipInfo(f"{folder}/{name}", EPOCH)
                # A PNG is compressed already.
                info.compress_type = ZIP_STORED if name.endswith(".png") else ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, data)
    return buffer.getvalue()


def read_archive(data: bytes) -> tuple[Record, ...]:
    """The records of a zip, in its order. Raises RecordRefused with one sentence."""
    if len(data) > MAX_ARCHIVE_BYTES:
        raise RecordRefused(
            f"this file has {len(data) / 2**20:.0f} MB, at most {MAX_ARCHIVE_BYTES / 2**20:.0f} are read"
        )
    try:
        with ZipFile(BytesIO(data)) as archive:
            folders = _folders(archive)
    except NO_ZIP as error:
        if isinstance(error, RecordRefused):
            raise
        raise RecordRefused("this file is not a zip that can be read: export it again") from error
    if not folders:
        raise RecordRefused("this zip holds no runs: choose one that History exported or `hgc record` made")
    return tuple(Record.from_files(files) for files in folders.values())


def _folders(archive: ZipFile) -> dict[str, dict[str, bytes]]:
    """The files of every folder. What a file claims to hold is not believed: reading stops at the limit."""
    # `is_dir` looks at the last letter of a name, and raises IndexError where there is none.
    entries = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
    if len(entries) > MAX_FILES:
        raise RecordRefused(f"this zip holds {len(entries):,} files, at most {MAX_FILES:,} are read")
    folders: dict[str, dict[str, bytes]] = {}
    total_bytes = 0
    for entry in entries:
        place = ENTRY.fullmatch(entry.filename)
        if place is None:
            raise RecordRefused(f"this zip holds {entry.filename[:80]!r}, which is not part of a recording")
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise RecordRefused(f"{entry.filename!r} in this zip is packed in a way that is not read here")
        with archive.open(entry) as file:
            content = file.read(MAX_FILE_BYTES + 1)
        total_bytes += len(content)
        if len(content) > MAX_FILE_BYTES or total_bytes > MAX_TOTAL_BYTES:
            raise RecordRefused(
                f"{entry.filename!r} in this zip unpacks to more than is read ({MAX_FILE_BYTES:,} bytes)"
            )
        folders.setdefault(place[1], {})[place[2]] = content
    return folders


def opening() -> Record:
    """The recording that the page opens with. Raises RecordRefused."""
    return read_archive(OPENING.read_bytes())[0]
