"""What was made once is shown again without a model, and made again bit for bit, or it is said what differs."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from records import record as made_up
from small import SIZE
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.evidence import read_signed
from hgc.history import OPENING, History, RecordRefused, opening, read_archive, write_archive
from hgc.landscapes import examples
from hgc.request import Recipe, Request
from hgc.results.again import Original, compared
from hgc.results.comparison import Comparison
from hgc.results.records import comparison_of, record_of, signed
from hgc.studio.studio import Studio
from hgc.unwritable import PlaceRefused
from hgc.whole import write_folder

ROOT = Path(__file__).parent.parent
STEPS = 3


def run(studio: Studio, **fields: Any) -> Comparison:
    example = examples.gallery()[0]
    png = studio.prepare_control(example.pixels, example.control, size=SIZE).png
    *_, last = studio.compare(Request.make(png, size=SIZE, **{"prompt": example.prompt, "steps": STEPS} | fields))
    assert isinstance(last, Comparison)
    return last


@pytest.fixture(scope="module")
def comparison(studio: Studio) -> Comparison:
    return run(studio, rival="fewer_steps")


def test_a_comparison_comes_back_from_its_record_and_says_that_it_is_one(
    comparison: Comparison, tmp_path: Path
) -> None:
    history = History(tmp_path / "history.sqlite")
    found = comparison_of(history.load(history.keep(record_of(comparison))))
    assert found.recorded
    assert not comparison.recorded
    assert found.figures() == comparison.figures()
    assert (found.made, found.notes, found.request) == (comparison.made, comparison.notes, comparison.request)
    for name, arm in comparison.arms.items():
        assert np.array_equal(found.arms[name].image, arm.image)
        assert found.arms[name].trace == arm.trace
        assert signed(found, name) == signed(comparison, name)


def test_a_picture_tells_its_own_plan_and_trace(comparison: Comparison) -> None:
    for name, arm in comparison.arms.items():
        evidence = read_signed(signed(comparison, name)).evidence
        assert evidence.request == comparison.request
        assert evidence.plan == arm.trace.plan
        assert (evidence.arm, evidence.trace_digest, evidence.made) == (name, arm.trace.digest, comparison.made)


def test_the_same_request_gives_the_identical_picture_and_another_does_not(
    studio: Studio, comparison: Comparison
) -> None:
    original = Original.of_record(record_of(comparison))
    again = compared(original, run(studio, rival="fewer_steps"))
    assert again.identical
    assert again.arms == ("full", "cached", "rival")
    assert "Identical: every pixel" in again.words
    other = compared(original, run(studio, seed=1, rival="fewer_steps"))
    assert not other.identical
    assert "Seed: 0 there, 1 here" in other.words


def test_what_differs_is_named(comparison: Comparison) -> None:
    original = Original.of_picture(read_signed(signed(comparison, "cached")))
    touched = comparison.cached.image.copy()
    touched[0, 0, 0] ^= 1
    elsewhere = replace(
        comparison,
        cached=replace(comparison.cached, image=touched),
        made=comparison.made.model_copy(update={"dtype": "float16", "weights": "f" * 12}),
    )
    again = compared(original, elsewhere)
    assert again.changed == ("cached",)
    assert "Precision: float32 there, float16 here" in again.words
    assert f"weights: {comparison.made.weights} there, {'f' * 12} here" in again.words
    same_made = compared(original, replace(elsewhere, made=comparison.made))
    assert same_made.words.endswith("Nothing else that was noted differs.")
    assert compared(original, replace(elsewhere, cached=comparison.cached)).identical


def test_the_weights_digest_names_every_number(studio: Studio) -> None:
    from hgc.studio.provenance import Numbers

    def digest() -> str:
        return Numbers(studio.loaded).digest(Recipe())

    bias = studio.loaded.components["unet"].conv_out.bias
    before = digest()
    bias.data[0] += 1
    try:
        assert digest() != before
    finally:
        bias.data[0] -= 1
    assert digest() == before == studio.weights(Recipe(control="edges"))


@pytest.mark.parametrize("missing", ["full", "cached"])
def test_a_record_without_its_pictures_is_refused(missing: str) -> None:
    kept = made_up()
    with pytest.raises(RecordRefused, match=f"no picture '{missing}'"):
        comparison_of(replace(kept, arms=tuple(arm for arm in kept.arms if arm.name != missing)))


def test_a_record_of_another_version_is_refused() -> None:
    with pytest.raises(RecordRefused, match="of another version"):
        comparison_of(replace(made_up(), likeness={"cached": {"beauty": 1.0}}))


# The shell


def shell(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


@pytest.mark.usefixtures("loaded")
def test_the_shell_records_replays_and_makes_again(tmp_path: Path) -> None:
    zipped, out = tmp_path / "run.zip", tmp_path / "out"
    made = shell("record", "--out", str(zipped), "--steps", "3", "--plan", "0.75", "--example", "outlines")
    assert made.exit_code == 0, made.output
    (kept,) = read_archive(zipped.read_bytes())
    assert kept.request.control == "edges"
    shown = shell("replay", str(zipped), "--again", "--out", str(out))
    assert shown.exit_code == 0, shown.output
    assert f"recorded {kept.made.words}" in shown.output
    assert "Identical: every pixel of the full picture and the cached picture and the rival picture" in shown.output
    (folder,) = out.iterdir()
    assert {"full.png", "cached.png", "rival.png", "control.png", "request.json", "trace.json"} <= {
        path.name for path in folder.iterdir()
    }
    picture = shell("replay", str(folder / "cached.png"), "--again", "--json")
    assert picture.exit_code == 0, picture.output
    (told,) = json.loads(picture.output)
    assert told["again"]["identical"] is True
    assert Request.parse(told["request"]) == kept.request


def test_replaying_needs_no_model(tmp_path: Path) -> None:
    zipped = tmp_path / "run.zip"
    zipped.write_bytes(write_archive([made_up()]))
    code = (
        "import sys; from hgc.history import read_archive; import pathlib;"
        "(kept,) = read_archive(pathlib.Path(sys.argv[1]).read_bytes()); kept.arm('cached').pixels;"
        "print(kept.made.words, sorted({'torch', 'diffusers', 'gradio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(zipped)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("content", [b"nonsense", b"\x89PNG\r\n\x1a\n", b""])
def test_the_shell_refuses_other_files_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    for arguments in ((str(path),), (str(tmp_path / "nowhere.zip"),)):
        refused = shell("replay", *arguments)
        assert refused.exit_code == 2
        assert len(refused.output.strip().splitlines()) == 1


def test_the_recording_that_comes_along_can_be_shown() -> None:
    found = comparison_of(opening())
    assert found.request.prompt == examples.gallery()[0].prompt
    assert found.figures()["macs_ratio"] < 0.5
    assert found.rival is not None
    assert OPENING.stat().st_size < 500_000


# Recordings from elsewhere


def recording(change: Callable[[dict[str, Any]], None], name: str = "run.json") -> bytes:
    """A recording in which one file was changed by hand."""
    files = made_up().files()
    data = json.loads(files[name])
    change(data)
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for file, content in (files | {name: json.dumps(data).encode()}).items():
            archive.writestr(f"0001-run/{file}", content)
    return buffer.getvalue()


def traced(change: Callable[[dict[str, Any]], None]) -> bytes:
    return recording(change, "cached.trace.json")


def given(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(fields)


HOSTILE: dict[str, bytes] = {
    "a digest that climbs": recording(given(digest="/../../../X")),
    "a digest without end": recording(given(digest="a" * 5_000)),
    "no likeness": recording(given(likeness={})),
    "a null likeness": recording(given(likeness={"cached": {"psnr": None, "ssim": None}})),
    "another likeness": recording(given(likeness={"cached": {"psnr": 1.0, "ssim": 1.0, "other": 2.0}})),
    "no arms": recording(given(arms={})),
    "more branches than cells": traced(lambda trace: trace["branches"].append(2)),
    "branches without end": traced(given(branches=[2] * 100_000)),
    "words as branches": traced(given(branches=["2"] * 4)),
    "empty cells": traced(given(cells={})),
    "cells cut short": traced(lambda trace: trace["cells"]["unet"].pop()),
    "a dict as a site's name": traced(lambda trace: trace["sites"][0].update(name={})),
    "a site twice": traced(lambda trace: trace["sites"].append(trace["sites"][0])),
    "strings as MACs": traced(lambda trace: trace["cells"]["unet"][0].update(macs_paper="10")),
    "no MACs at all": recording(
        lambda trace: [cell.update(macs_paper=0) for cell in trace["cells"]["unet"]], "full.trace.json"
    ),
    "endless MACs": traced(lambda trace: trace["cells"]["unet"][0].update(macs_paper=10**400)),
    "a plan's name that is an object": traced(lambda trace: trace["plan"].update(name={})),
    "a plan without end": traced(lambda trace: trace["plan"].update(steps=10**6, table={"unet": "C" * 10**6})),
    "another sheet": recording(given(figures=[])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_recording_is_refused_in_a_sentence_and_writes_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "runs.zip").write_bytes(HOSTILE[name])
    out = tmp_path / "deep" / "down" / "out"
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "runs.zip"), "--out", str(out)])
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.strip().count("\n") == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["runs.zip"]


def test_a_picture_that_took_no_time_is_a_picture(tmp_path: Path) -> None:
    def at_once(sheet: dict[str, Any]) -> None:
        for arm in sheet["arms"].values():
            arm.update(latency_ms=0, denoise_ms=0)

    (tmp_path / "runs.zip").write_bytes(recording(at_once))
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "runs.zip"), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["speedup"] == 1.0
    assert (tmp_path / "out").is_dir()


def test_what_a_command_cannot_write_or_read_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    (tmp_path / "runs.zip").write_bytes(write_archive([made_up()]))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "long.json").write_text('{"steps": ' + "9" * 5_000 + "}")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    runs, file = str(tmp_path / "runs.zip"), str(tmp_path / "file")
    cases = [
        ["replay", runs, "--out", file],
        ["replay", runs, "--out", f"{file}/beneath/it"],
        ["replay", runs, "--out", str(tmp_path / ("x" * 300))],
        ["replay", runs, "--out", "/proc/nowhere"],
        ["replay", str(tmp_path)],
        ["replay", str(tmp_path / ("x" * 300))],
        ["replay", "/dev/zero"],
        ["run", str(tmp_path / "deep.json"), "--out", str(tmp_path / "out")],
        ["run", str(tmp_path / "long.json"), "--out", str(tmp_path / "out")],
        ["run", file, "--out", f"{file}/beneath"],
        ["record", "--out", str(tmp_path)],
        ["calibrate", "--out", f"{file}/beneath.json"],
        ["compare", "--image", str(tmp_path / ("x" * 300)), "--out", str(tmp_path / "out")],
    ]
    for arguments in cases:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2, (arguments, done.output, done.exception)
        assert isinstance(done.exception, SystemExit), (arguments, done.exception)
        assert done.stderr.strip().count("\n") == 0, done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "out", {"a.txt": b"1", "b.txt": b"2"})
    write_folder(tmp_path / "out", {"a.txt": b"3"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"a.txt": b"3", "b.txt": b"2"}
    with pytest.raises(ValueError, match="not a file name"):
        write_folder(tmp_path / "out", {"../a.txt": b"4"})

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    monkeypatch.setattr(os, "replace", full)
    for folder in ("out", "new"):
        with pytest.raises(PlaceRefused, match="No space left on device"):
            write_folder(tmp_path / folder, {"a.txt": b"5"})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b.txt", "out"]
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"3"
