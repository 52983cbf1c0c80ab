"""The paper's table on made-up data sets and tiny random networks: forms on disk, ledger, shards, and what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import fastparquet
import judging
import numpy as np
import pandas as pd
import pytest
import smallhub
import tiny
from huggingface_hub import constants
from PIL import Image
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench import gallery
from hgc.bench.drawn import DatasetPicture, executed, lost, scored
from hgc.bench.examiner import coco_labels
from hgc.bench.gallery import exhibits, is_coco
from hgc.bench.setup import BenchRefused
from hgc.control import coco_stuff
from hgc.judges.labels import UNLABELLED
from hgc.judges.table import COCO_SEGMENTER, MEASURES
from hgc.models.loading import load
from hgc.models.presets import presets
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio

SIZE = (72, 96)
RNG = np.random.default_rng(5)


def png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def photo() -> np.ndarray:
    return RNG.integers(0, 256, (*SIZE, 3), np.uint8)


def labels(most: int) -> np.ndarray:
    return np.kron(RNG.integers(0, most + 1, (9, 12), np.uint8), np.ones((8, 8), np.uint8))


def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def ade20k(folder: Path, count: int = 2) -> Path:
    """As ADEChallengeData2016 is unpacked: training pictures are passed over."""
    put(folder / "images" / "training" / "ADE_train_1.jpg", png(photo()))
    for number in range(count):
        name = f"ADE_val_{number:08d}"
        put(folder / "images" / "validation" / f"{name}.jpg", png(photo()))
        put(folder / "annotations" / "validation" / f"{name}.png", png(labels(150)))
    put(folder / "captions.json", json.dumps({"ADE_val_00000000": "a red house"}))
    return folder


def coco(folder: Path) -> Path:
    put(folder / "val2017" / "000000000139.jpg", png(photo()))
    put(folder / "stuffthingmaps" / "val2017" / "000000000139.png", png(labels(181)))
    put(folder / "conditions" / "000000000139.png", png(photo()))
    notes = {
        "images": [{"id": 139, "file_name": "000000000139.jpg"}],
        "annotations": [{"image_id": 139, "caption": "a room "}, {"image_id": 139, "caption": "another"}],
    }
    put(folder / "annotations" / "captions_val2017.json", json.dumps(notes))
    return folder


class TestForms:
    def test_ade20k(self, tmp_path: Path) -> None:
        first, second = exhibits(ade20k(tmp_path))
        assert (first.words, second.words) == ("a red house", gallery.DEFAULT_WORDS)
        assert first.pixels(64).shape == (64, 64, 3)
        numbers = first.numbers(64)
        assert numbers is not None
        assert numbers.shape == (64, 64)
        assert set(np.unique(numbers)) <= set(range(151))
        assert not is_coco([first, second])

    def test_coco_stuff(self, tmp_path: Path) -> None:
        (one,) = exhibits(coco(tmp_path))
        assert is_coco([one])
        assert one.words == "a room"
        assert one.condition is not None
        numbers = one.numbers(64)
        assert numbers is not None
        known = coco_labels(np.array([[0, 10, 11, 91, 181, 255]], np.uint8))
        named = [coco_stuff.NAMES[label] if label != UNLABELLED else None for label in known[0]]
        # as numbered from 0: 11 is one of COCO's gaps
        assert named == ["person", "fire hydrant", None, "banner", "wood", None]

    def test_lines_of_target_source_and_prompt(self, tmp_path: Path) -> None:
        lines = [{"source": f"conditions/{n}.png", "target": f"images/{n}.png", "prompt": f"thing {n}"} for n in (0, 1)]
        for n in (0, 1):
            put(tmp_path / "images" / f"{n}.png", png(photo()))
            put(tmp_path / "conditions" / f"{n}.png", png(photo()))
        put(tmp_path / "prompt.json", "\n".join(map(json.dumps, lines)))
        assert [(one.words, one.condition is None) for one in exhibits(tmp_path)] == [
            ("thing 0", False),
            ("thing 1", False),
        ]

    def test_parquet_and_the_library_that_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        table = {"image.bytes": [png(photo())], "control_depth.bytes": [png(photo())], "text": ["a street"]}
        put(tmp_path / "data" / "x", "")
        fastparquet.write(str(tmp_path / "data" / "validation-0.parquet"), pd.DataFrame(table))
        (one,) = exhibits(tmp_path / "data")
        colours = one.colours(64)
        assert (one.words, colours is None) == ("a street", False)
        put(tmp_path / "saved" / "data-0.arrow", "")
        monkeypatch.setattr(gallery, "find_spec", lambda name: None)
        with pytest.raises(
            BenchRefused, match=r"`pip install hgc-studio\[datasets\]`, or save the data set as .parquet"
        ):
            exhibits(tmp_path / "saved")

    def test_a_data_set_as_datasets_saves_and_caches_it(self, tmp_path: Path) -> None:
        """By the library itself, where it is installed: saved whole, split, as bare files of its cache, and damaged."""
        library = pytest.importorskip("datasets")
        library.disable_progress_bars()
        rows = {
            "image": [Image.fromarray(photo()) for _ in range(3)],
            "seg_map": [Image.fromarray(labels(99)) for _ in range(3)],
            "prompt": ["a", "b", "c"],
        }
        columns = {"image": library.Image(), "seg_map": library.Image(), "prompt": library.Value("string")}
        whole = library.Dataset.from_dict(rows, features=library.Features(columns))
        whole.save_to_disk(str(tmp_path / "whole"))
        library.DatasetDict({"train": whole, "validation": whole.select([1])}).save_to_disk(str(tmp_path / "split"))
        for split, number in (("train", 0), ("validation", 2)):
            bare = tmp_path / "cache" / f"things-{split}.arrow"
            bare.parent.mkdir(exist_ok=True)
            (saved,) = (tmp_path / "whole").glob("*.arrow")
            part = whole.select([number])
            part.save_to_disk(str(tmp_path / split))
            shutil.copy(next((tmp_path / split).glob("*.arrow")), bare)
        for folder, words in (("whole", "abc"), ("split", "b"), ("cache", "c")):
            found = exhibits(tmp_path / folder)
            assert "".join(one.words for one in found) == words
            for one in found:
                place = "abc".index(one.words)
                whole_picture = Image.fromarray(np.asarray(rows["image"][place]))
                np.testing.assert_array_equal(
                    one.pixels(64), gallery.square(whole_picture, 64, Image.Resampling.LANCZOS)
                )
                numbers = one.numbers(64)
                assert numbers is not None
                assert set(np.unique(numbers)) <= set(np.unique(np.asarray(rows["seg_map"][place])))
        saved.write_bytes(saved.read_bytes()[:200])
        with pytest.raises(BenchRefused, match="cannot read it") as error:
            exhibits(tmp_path / "whole")
        assert "\n" not in str(error.value)

    def test_what_cannot_be_read_is_a_sentence(self, tmp_path: Path) -> None:
        for make, message in (
            (lambda: None, "no such folder"),
            (lambda: put(tmp_path / "f" / "readme.txt", ""), "no pictures were found"),
            (lambda: put(tmp_path / "f" / "prompt.json", "[1, 2]"), "line 1: no object with target"),
            (
                lambda: put(tmp_path / "f" / "prompt.json", '{"target": "../../secret.png"}'),
                "no file '../../secret.png' in it",
            ),
            (lambda: put(tmp_path / "f" / "prompt.json", "[" * 100_000), "line 1: no object"),
        ):
            make()
            with pytest.raises(BenchRefused, match=message) as error:
                exhibits(tmp_path / "f")
            assert "\n" not in str(error.value)
        put(tmp_path / "g" / "images" / "a.png", png(photo()))
        put(tmp_path / "g" / "annotations" / "a.png", "no picture")
        with pytest.raises(BenchRefused, match=r"^a: .*label map"):
            exhibits(tmp_path / "g")[0].numbers(64)


def test_a_score_is_pooled_over_pictures_and_an_error_is_lost_the_other_way() -> None:
    pictures = [
        DatasetPicture(0.9, {"sky": (9, 10)}, None, 1.0, 8),
        DatasetPicture(0.1, {"sky": (1, 10), "sea": (0, 5)}, None, 1.0, 9),
    ]
    assert scored(pictures) == pytest.approx((10 / 20 + 0) / 2)
    assert (
        scored(
            [
                DatasetPicture(30.0, {}, None, 1.0, 8),
                DatasetPicture(40.0, {}, None, 1.0, 9),
                DatasetPicture(None, {}, None, 1.0, None),
            ]
        )
        == 35
    )
    assert executed(pictures, planned=20) == 8
    assert executed([replace(pictures[0], macs_paper=None)], planned=20) == 20
    assert lost(0.4, 0.5, higher_is_better=True) == pytest.approx(0.2)
    assert lost(36.0, 30.0, higher_is_better=False) == pytest.approx(0.2)
    assert lost(None, 0.5, higher_is_better=True) is None


@pytest.fixture(scope="module")
def hub(small_hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small hub with ControlNets for label maps and depth, and with their judges."""
    home = tmp_path_factory.mktemp("exhibition")
    shutil.copytree(small_hub / "hub", home / "hub", symlinks=True)
    for task in ("segmentation", "depth"):
        repo = presets()["sd15"].controls[task]
        tiny.controlnet(**tiny.SMALL["sd"]).save_pretrained(home / "work" / repo)
        smallhub.published(home, repo, home / "work" / repo)
    judging.publish(home, MEASURES["segmentation"].repo, MEASURES["depth"].repo)
    return home


@pytest.fixture(scope="module")
def sd15(hub: Path) -> Iterator[Studio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(hub / "hub"))
        loaded = load("sd15", device="cpu")
        yield Studio(loaded, Judge.of(loaded.preset))


@pytest.fixture
def there(hub: Path, sd15: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with the hub as this process's cache and its model loaded."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub / "hub"))
    monkeypatch.setattr(Studio, "load", lambda *_: sd15)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, task: str, *words: str) -> tuple[int, str, str]:
    command = ["bench", "fidelity", "--data", str(folder), "--task", task, "--size", "64", "--steps", "3"]
    few = ["--sampler", "unipc", "--method", "deepcache", "--method", "fewer_steps", "--budget", "0.5"]
    done = CliRunner().invoke(app, [*command, *few, "--device", "cpu", "--out", "out", *words])
    return done.exit_code, done.stdout, done.stderr


def test_two_shards_make_one_table_and_nothing_is_drawn_twice(there: Path) -> None:
    folder = ade20k(there / "ade")
    code, said, told = run(folder, "segmentation", "--shard", "1/2")
    assert code == 0, told
    assert "3 pictures are left to the other shards" in said
    assert "unipc: 1 of 1 pictures" in told
    code, said, told = run(folder, "segmentation", "--shard", "2/2", "--json")
    assert code == 0, told
    measured: dict[str, Any] = json.loads(said)
    assert measured["judge"] == MEASURES["segmentation"].repo
    assert [(row["method"], row["pictures"]) for row in measured["rows"]] == [
        ("full", 2),
        ("deepcache", 2),
        ("fewer_steps", 2),
    ]
    full, *others = measured["rows"]
    assert full["share"] == 1
    assert full["lost"] is None
    assert all(0 < row["share"] <= 0.7 for row in others)
    for row in others:  # networks of random weights may score nothing at all
        score = full["score"]
        assert row["lost"] == (pytest.approx((score - row["score"]) / score) if score else None)
    assert any("hgc models fetch openai/clip" in reason for reason in measured["missing"])
    ledgers = sorted(path.name for path in (there / "out").glob("*.jsonl"))
    assert ledgers == ["ledger-1-of-2.jsonl", "ledger-2-of-2.jsonl"]
    before = {name: (there / "out" / name).read_bytes() for name in ledgers}
    code, said, told = run(folder, "segmentation")
    assert (code, told) == (0, "")  # all is in the ledgers of the shards
    assert {name: (there / "out" / name).read_bytes() for name in ledgers} == before
    assert "mIoU" in said
    assert "python -m hgc bench fidelity --data" in said


def test_methods_that_need_measurements_name_their_command_and_are_then_compared(
    there: Path, sd15: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EasyCache decides while running: its MACs are those that were executed."""
    loaded = replace(sd15.loaded, preset=replace(sd15.loaded.preset, size=64))  # as small as its pictures here
    studio = Studio(loaded, Judge.of(loaded.preset))
    monkeypatch.setattr(Studio, "load", lambda *_: studio)
    folder = ade20k(there / "ade", 1)
    words = ("--steps", "5", "--method", "easycache", "--method", "magcache", "--method", "spectrum", "--json")
    code, said, told = run(folder, "segmentation", *words)
    assert code == 0, told
    assert [row["method"] for row in json.loads(said)["rows"]] == ["full", "deepcache", "fewer_steps", "spectrum"]
    left_out = [reason for reason in json.loads(said)["missing"] if reason.startswith("left out")]
    assert [reason.split(",")[0] for reason in left_out] == ["left out: EasyCache", "left out: MagCache"]
    command = left_out[0].split("make it with: python -m hgc ")[1]
    done = CliRunner().invoke(app, [*command.split(), "--scenes", "1", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    code, said, told = run(folder, "segmentation", *words)
    assert code == 0, told
    rows = {row["method"]: row for row in json.loads(said)["rows"]}
    assert {"easycache", "magcache", "spectrum"} < set(rows)
    full = rows["full"]["macs_paper"]
    assert all(row["share"] == pytest.approx(row["macs_paper"] / full) for row in rows.values())
    assert all(0 < rows[name]["share"] < 1 for name in rows if name != "full")


def test_depth_and_edges(there: Path) -> None:
    code, said, told = run(ade20k(there / "ade", 1), "edges")
    assert code == 0, told
    assert "judged by Canny" in said
    shutil.rmtree(there / "ade" / "annotations")
    code, said, told = run(there / "ade", "depth", "--json")
    assert code == 0, told
    measured = json.loads(said)
    assert measured["score_name"] == "depth RMSE"
    assert all(0 < row["score"] < 255 for row in measured["rows"])


def test_coco_is_judged_by_its_own_segmenter_and_needs_colours(there: Path) -> None:
    folder = coco(there / "coco")
    code, said, told = run(folder, "segmentation", "--json")
    assert code == 0, told
    measured = json.loads(said)
    assert measured["judge"] == COCO_SEGMENTER
    assert any(f"hgc models fetch {COCO_SEGMENTER}" in reason for reason in measured["missing"])
    assert all(row["score"] is None for row in measured["rows"])
    shutil.rmtree(folder / "conditions")
    code, _, told = run(folder, "segmentation", "--out", "other")
    assert code == 2
    assert "put the coloured maps, by the same names, into conditions/" in told


def test_settings_that_cannot_be_are_a_sentence(there: Path) -> None:
    folder = ade20k(there / "ade", 1)
    for words, message in (
        (("--shard", "3/2"), "--shard 3/2"),
        (("--shard", "all"), "write it as 1/4"),
        (("--limit", "0"), "--limit 0"),
    ):
        code, _, told = run(folder, "segmentation", *words)
        assert code == 2
        assert message in told
    assert "known are segmentation, depth, edges" in run(folder, "smell")[2]
