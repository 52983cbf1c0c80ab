"""Runs are kept whole or not at all, found again, forgotten in order, and travel as a zip."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile

import numpy as np
import pytest
from PIL import Image
from records import PLAN, keep_records, picture, record

from hgc.evidence import read_signed
from hgc.history import History, HistoryRefused, Record, RecordRefused, place_of, read_archive, write_archive
from hgc.history.archive import MAX_FILE_BYTES
from hgc.history.differences import TITLES, differing, settings_of
from hgc.ui.history.views import runs_grid

HERE = Path(__file__).parent


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "runs" / "history.sqlite")


def same(one: Record, other: Record) -> bool:
    """NaN is not equal to itself: compared as files."""
    return one.files() == other.files() and one.request == other.request


# Kept, found, forgotten


def test_a_run_comes_back_whole(history: History) -> None:
    kept = record(3, prompt="a lake in autumn")
    found = history.load(history.keep(kept))
    assert same(found, kept)
    assert np.array_equal(found.arm("cached").pixels, picture(7))
    assert found.arm("cached").trace.plan == PLAN
    assert found.likeness["cached"]["psnr"] == math.inf
    assert math.isnan(found.arm("cached").control_score)


def test_the_newest_stands_first_with_a_small_picture(history: History) -> None:
    names = [history.keep(record(seed)) for seed in range(3)]
    entries = history.entries()
    assert [entry.id for entry in entries] == names[::-1]
    assert Image.open(BytesIO(entries[0].thumbnail)).size == (32, 32)
    assert entries[0].share == 0.5
    assert [entry.id for entry in history.entries(limit=1)] == names[2:]


def test_every_word_of_a_search_is_found_in_prompt_method_or_tags(history: History) -> None:
    lake = history.keep(record(prompt="Über dem See, 100% winter"))
    history.keep(record(prompt="a meadow"))
    history.tag([lake], "keep,  Good  ones ,keep")
    assert history.entries()[1].tags == ("keep", "Good ones")
    for search in ("see", "ÜBER", "winter paper", "good", "100%", "  see \n winter "):
        assert [entry.id for entry in history.entries(search)] == [lake], search
    for search in ("lake", "see meadow", "%", "' OR 1=1 --", "_"):
        expected = [lake] if search == "%" else []
        assert [entry.id for entry in history.entries(search)] == expected, search
    assert history.count() == 2
    assert history.count("see") == 1


def test_tags_are_replaced_and_bounded(history: History) -> None:
    name = history.keep(record())
    history.tag([name], "one, two")
    history.tag([name], "")
    assert history.entries()[0].tags == ()
    for tags in (",".join("abcdefghijklm"), "x" * 41):
        with pytest.raises(HistoryRefused, match=r"12.* 40"):
            history.tag([name], tags)


def test_what_is_deleted_is_gone_from_the_file(history: History) -> None:
    names = [history.keep(record(seed, side=128)) for seed in range(4)]
    before = history.path.stat().st_size
    assert history.delete(names[:3]) == 3
    assert history.delete(names[:3]) == 0
    assert [entry.id for entry in history.entries()] == names[3:]
    assert history.path.stat().st_size < before / 2
    with pytest.raises(HistoryRefused, match="no longer kept"):
        history.load(names[0])


def test_visitors_never_see_each_others_runs(history: History) -> None:
    mine, theirs = history.keep(record(1), "me"), history.keep(record(2), "them")
    assert [entry.id for entry in history.entries(owner="me")] == [mine]
    assert history.count(owner="them") == 1
    history.tag([mine], "stolen", "them")
    assert history.delete([mine], "them") == 0
    assert history.entries(owner="me")[0].tags == ()
    for call in (history.load, lambda name, owner: history.export([name], owner)):
        with pytest.raises(HistoryRefused):
            call(mine, "them")
    assert history.load(theirs, "them").request.seed == 2


# The limit


def test_the_oldest_untagged_go_when_there_is_no_room(tmp_path: Path) -> None:
    free = History(tmp_path / "free.sqlite")
    free.keep(record(0))
    one = free.size_bytes()
    history = History(tmp_path / "history.sqlite", limit_bytes=int(3.5 * one))
    first, second, third = (history.keep(record(seed)) for seed in range(3))
    history.tag([first], "keep")
    fourth = history.keep(record(3))
    assert [entry.id for entry in history.entries()] == [fourth, third, first]
    assert history.size_bytes() <= history.limit_bytes
    history.tag([third, fourth], "keep")
    with pytest.raises(HistoryRefused, match="not kept"):
        history.keep(record(4))
    assert [entry.id for entry in history.entries()] == [fourth, third, first]
    assert second not in [entry.id for entry in history.entries()]


def test_a_run_larger_than_the_limit_forgets_nothing(tmp_path: Path) -> None:
    History(tmp_path / "h.sqlite").keep(record(0))
    with pytest.raises(HistoryRefused, match="was not kept"):
        History(tmp_path / "h.sqlite", limit_bytes=100).keep(record(1))
    assert History(tmp_path / "h.sqlite").count() == 1


# Many writers, and a sudden end


def test_processes_and_threads_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=keep_records, args=(path, 100 * n, 4)) for n in range(2)]
    for worker in workers:
        worker.start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: keep_records(path, 1000 + 10 * n, 2), range(4)))
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    history = History(path)
    seeds = [history.load(entry.id).request.seed for entry in history.entries(limit=100)]
    assert sorted(seeds) == sorted([100 * n + i for n in range(2) for i in range(4)] + [
        1000 + 10 * n + i for n in range(4) for i in range(2)
    ])  # fmt: skip


KILLED = """
import os, signal, sys, sqlite3
from pathlib import Path
sys.path.insert(0, {here!r})
from records import record
from hgc.history import History

class Dying(History):
    def _make_room(self, db, size):
        super()._make_room(db, size)
        # The old run is gone and half of the new one would be written: the worst moment.
        db.execute("INSERT INTO runs SELECT 'half', 999, owner, made_at, prompt, method, tags, share, bytes, "
                   "thumbnail, zeroblob(4000000) FROM runs LIMIT 1")
        os.kill(os.getpid(), signal.SIGKILL)

history = History(Path({path!r}))
history.keep(record(1))
print("kept", flush=True)
Dying(Path({path!r})).keep(record(2))
"""


def test_a_process_killed_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(here=str(HERE), path=str(path))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "kept" in done.stdout
    history = History(path)
    (entry,) = history.entries()
    assert same(history.load(entry.id), record(1))
    history.keep(record(3))
    assert history.count() == 2
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


# Files that are no history


def test_a_damaged_file_is_told_in_one_sentence_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    for call in (lambda: History(path).entries(), lambda: History(path).keep(record())):
        with pytest.raises(HistoryRefused, match="file is not a database"):
            call()
    assert path.read_bytes().startswith(b"this is not")


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    db.close()
    with pytest.raises(HistoryRefused, match="another program"):
        History(path).keep(record())


def test_a_history_of_a_later_version_is_refused(history: History) -> None:
    history.keep(record())
    with sqlite3.connect(history.path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(HistoryRefused, match=r"format 7.*format 1"):
        history.entries()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(HistoryRefused, match="--no-history"):
        History(tmp_path / "runs" / "history.sqlite").keep(record())


FULL_DISK = """
import sys
from pathlib import Path
from records import record
from hgc.history import History, HistoryRefused
home = Path(sys.argv[1])
history, names = History(home / "history.sqlite"), []
try:
    while len(names) < 200:
        names.append(history.keep(record(len(names), side=64, prompt=f"scene {len(names)}")))
except HistoryRefused as refusal:
    print(refusal)
try:
    with (home / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 512)
except OSError:
    pass
history.tag(names[:1], "dear")
print(history.delete(names[1:3]), len(names) - history.count(), history.tags(names[:1])[0])
print([history.load(entry.id).request.prompt for entry in history.entries(limit=2)])
history.keep(record(500))
"""


def test_a_full_disk_is_freed_by_deleting(tmp_path: Path) -> None:
    """On a real one, of 1 MB, in a mount namespace of its own."""
    mount = f"mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c '{FULL_DISK}' {tmp_path}"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}:{HERE}"},
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    told, deleted, left = done.stdout.splitlines()
    assert told.startswith("There is no room left on the disk for history.sqlite")
    assert deleted == "2 2 ('dear',)"
    assert "scene" in left


def test_flipped_bits_are_told_in_one_sentence_or_do_no_harm(history: History, tmp_path: Path) -> None:
    for number in range(4):
        history.keep(record(number, prompt=f"scene {number}"))
    whole, told = history.path.read_bytes(), []
    for seed in range(40):
        draw, data = random.Random(seed), bytearray(whole)
        for _ in range(draw.choice([1, 5, 50])):
            data[draw.randrange(8192 if seed % 2 else len(data))] ^= 1 << draw.randrange(8)
        damaged = History(tmp_path / f"{seed}.sqlite")
        damaged.path.write_bytes(data)
        try:
            entries = damaged.entries()
            assert runs_grid(entries, (), False)
            for entry in entries:
                with suppress(HistoryRefused):
                    damaged.load(entry.id)
            damaged.tag([entry.id for entry in entries], "dear")
            damaged.delete([entry.id for entry in entries])
            damaged.keep(record(9))
        except HistoryRefused as refusal:
            told.append(str(refusal))
    assert 0 < len(told) < 40
    assert not any("\n" in sentence for sentence in told)


def test_a_search_and_a_choice_have_an_end(history: History) -> None:
    for search in ("a" * 201, "a " * 13):
        with pytest.raises(HistoryRefused, match=r"12 words.* 200 characters"):
            history.entries(search)
    with pytest.raises(HistoryRefused, match=r"1,001.* 1,000"):
        history.delete(["x"] * 1001)


# Archives


def test_an_export_holds_pictures_that_speak_for_themselves_and_json(history: History) -> None:
    names = [history.keep(record(seed, prompt=f"scene {seed}")) for seed in range(2)]
    data = history.export(names[::-1])
    with ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        listed = archive.namelist()
        folders = sorted({name.split("/")[0] for name in listed})
        assert [folder[:5] for folder in folders] == ["0001-", "0002-"]
        wanted = {"run.json", "request.json", "full.png", "cached.png", "full.trace.json", "cached.trace.json"}
        assert {name.split("/")[1] for name in listed} == wanted
        signed = read_signed(archive.read(f"{folders[0]}/cached.png"))
        assert signed.evidence.request.prompt == "scene 1"
        assert json.loads(archive.read(f"{folders[0]}/request.json"))["prompt"] == "scene 1"

        def strict(word: str) -> None:
            raise AssertionError(f"{word} is no JSON")

        json.loads(archive.read(f"{folders[0]}/run.json"), parse_constant=strict)
    assert [found.request.seed for found in read_archive(data)] == [1, 0]
    assert history.export(names[::-1]) == data


def zipped(files: dict[str, bytes], packing: int = ZIP_DEFLATED) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def changed(name: str, change: Callable[[bytes], bytes | None]) -> bytes:
    files = record().files()
    found = change(files.pop(name))
    left = files if found is None else files | {name: found}
    return zipped({f"run/{file}": data for file, data in left.items()})


ARM = {"latency_ms": 1.0, "denoise_ms": 1.0, "control_score": 0.5}


def sheet(**fields: Any) -> bytes:
    return changed("run.json", lambda data: json.dumps(json.loads(data) | fields).encode())


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "no zip": (lambda: b"PK nonsense", "not a zip"),
    "empty": (lambda: b"", "not a zip"),
    "no runs": (lambda: zipped({}), "holds no runs"),
    "cut off": (lambda: write_archive([record()])[:-400], "not a zip"),
    "upwards": (lambda: zipped({"../../run.json": b"{}"}), "which is not part of a recording"),
    "no name": (lambda: zipped({"Xa": b"x"}).replace(b"Xa", b"\0a"), "which is not part of a recording"),
    "absolute": (lambda: zipped({"/etc/passwd": b"x"}), "which is not part of a recording"),
    "a bomb": (lambda: zipped({"run/run.json": b" " * (MAX_FILE_BYTES + 1)}), "unpacks to more"),
    "no request": (lambda: changed("request.json", lambda _: None), "no file 'request.json'"),
    "no picture": (lambda: changed("cached.png", lambda _: None), "no file 'cached.png'"),
    "a broken request": (lambda: changed("request.json", lambda _: b"{"), "request cannot be read"),
    "bytes for text": (lambda: changed("request.json", lambda _: b"\xff\xfe"), "request cannot be read"),
    "a broken sheet": (lambda: changed("run.json", lambda data: data.replace(b'"made"', b'"mad"')), "run.json"),
    "another packing": (lambda: zipped({"run/run.json": b"{}"}, ZIP_LZMA), "packed in a way"),
    "a digest that climbs": (lambda: sheet(digest="/../../../X"), "digest"),
    "a digest without end": (lambda: sheet(digest="a" * 300), "digest"),
    "an arm that climbs": (lambda: sheet(arms={"../x": ARM}), "arms"),
    "a time below zero": (lambda: sheet(arms={"full": {**ARM, "latency_ms": -1}}), "latency_ms"),
    "a later sheet": (lambda: changed("run.json", lambda d: d.replace(b'"format": 1', b'"format": 2')), "format"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_archives_get_one_sentence(name: str) -> None:
    data, says = BAD[name]
    with pytest.raises(RecordRefused) as refused:
        read_archive(data())
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_damaged_picture_or_trace_is_refused_when_it_is_looked_at() -> None:
    kept = record()
    broken = replace(kept.arm("cached"), png=b"\x89PNG", trace_json="{}")
    with pytest.raises(RecordRefused, match="picture 'cached'"):
        _ = broken.pixels
    with pytest.raises(RecordRefused, match="trace of 'cached'"):
        _ = broken.trace
    with pytest.raises(RecordRefused, match=r"'other'.*full, cached"):
        kept.arm("other")


# What differs


def test_two_requests_are_compared_setting_by_setting() -> None:
    one = record(1, prompt="a lake").request
    other = record(2, prompt="", cache={"gate": 0.5, "fine": False}, guidance=3.5).request
    assert differing(one, one) == {}
    assert differing(one, other) == {
        "Prompt": ("a lake", "none"),
        "Seed": ("1", "2"),
        "Guidance": ("2", "3.5"),
        "Fine cache": ("on", "off"),
        "Gate": ("0.8", "0.5"),
    }


def test_every_setting_of_a_request_has_a_title() -> None:
    assert set(settings_of(record().request)) == set(TITLES.values())


# Where runs are kept


def test_runs_are_kept_where_the_environment_says(tmp_path: Path) -> None:
    assert place_of({}).history is not None
    assert str(place_of({}).history.path) == "runs/history.sqlite"  # type: ignore[union-attr]
    own = place_of({"HGC_HISTORY": str(tmp_path / "mine.sqlite")})
    assert own.history is not None
    assert own.history.path == tmp_path / "mine.sqlite"
    assert "512 MB" in own.words
    for nowhere in (place_of({"HGC_HISTORY": "OFF"}), place_of({}, switched_off=True)):
        assert nowhere.history is None
        assert "--no-history" in nowhere.words


def test_on_a_space_every_visit_has_its_own_runs() -> None:
    place = place_of({"SPACE_ID": "someone/studio"})
    assert place.history is not None
    assert place.history.path.is_relative_to(tempfile.gettempdir())
    assert "for this visit only" in place.words
    assert place.owner("one") != place.owner("other")
    assert place_of({}).owner("one") == place_of({}).owner("other")
    mine = place.history.keep(record(), place.owner("one"))
    assert place.history.entries(owner=place.owner("other")) == []
    assert [entry.id for entry in place.history.entries(owner=place.owner("one"))] == [mine]
    shutil.rmtree(place.history.path.parent)
