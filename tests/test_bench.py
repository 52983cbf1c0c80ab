"""The benchmarks run and say what they measured on; what they measure is not judged here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from PIL import Image
from replaying import taped
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench import film, sd15
from hgc.bench.setup import BenchRefused
from hgc.planning.methods import METHODS
from hgc.request import RequestRefused

NEED_CALIBRATION = {"block_caching", "easycache", "magcache"}
SHAPES = {"block_out_channels": tiny.CHANNELS, "cross_attention_dim": 16, "attention_head_dim": 2, "norm_num_groups": 8}


@pytest.mark.usefixtures("loaded")
def test_bench_speed_names_everything_it_was_measured_on() -> None:
    result = CliRunner().invoke(app, ["bench", "speed", "--steps", "3", "--plan", "0.7", "--repeats", "2", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"device", "dtype", "steps", "seed", "sampler", "repeats", "plan"} <= found.keys()
    assert min(found["plain_ms"], found["full_ms"], found["cached_ms"], found["recorded_ms"]) > 0
    assert all(found[of]["low"] <= found[of]["median"] <= found[of]["high"] for of in ("speedup", "engine", "recorded"))
    assert "unet runs eagerly: a cpu device records nothing" in found["recorded_notes"]
    assert result.stderr.splitlines() == ["round 1 of 3", "round 2 of 3", "round 3 of 3"]
    assert found["macs_share_paper"] <= 0.7
    assert found["macs_share_paper"] < found["macs_share_full"]


def test_sd15_is_timed_on_random_weights() -> None:
    """The same road on the smallest networks of the kind; what the command runs is these at full size."""
    setting = sd15.TimedSetting(budget=0.3, size=64, steps=4, dtype="float32")
    found = sd15.timed(setting, "cpu", SHAPES)
    rows = {row.method: row for row in found.rows}
    assert set(rows) == set(METHODS) - NEED_CALIBRATION
    assert min(found.full_s, *(row.seconds for row in found.rows)) > 0
    assert rows["deepcache"].share_paper <= 0.3 < rows["tgate"].share_paper  # which is at its least
    *calibrated, recorded = found.missing
    assert len(calibrated) == len(NEED_CALIBRATION)
    assert all("not calibrated" in each for each in calibrated)
    assert recorded == "recorded: not measured, a cpu device records nothing"
    told = json.loads(json.dumps(sd15.data(found)))
    assert told["rows"][0]["kept"] == pytest.approx(told["rows"][0]["speedup"] * told["rows"][0]["share_full"])
    text = sd15.text(found)
    assert all(word in text for word in ("64 x 64", "4 steps", "float32", "cpu", "random weights", "threads"))
    assert all(METHODS[name].title in text for name in METHODS)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_sd15_compares_eager_with_recorded_in_miniature(family: str) -> None:
    """What a GPU is asked for, on a CPU that plays recordings on tape."""
    setting = sd15.TimedSetting(("deepcache",), size=64, steps=4, dtype="float32", shapes=family, batch=2, tiny=True)
    found = sd15.timed(setting, "cpu", recordings=taped()[0])
    for row in (found.full, *found.rows):
        assert row.arm.same_bits
        assert row.arm.recorded_s
        assert row.arm.recording_ms
        assert row.arm.recording_bytes
        assert row.arm.busy_s is None  # no profiler of a GPU
        assert row.kept_recorded
    assert found.full.kept_recorded == 1
    assert not found.missing
    assert "--batch 2" in found.command
    assert "--tiny" in found.command
    json.dumps(sd15.data(found))
    assert "in miniature" in sd15.text(found)


def test_sd15_in_miniature_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = ["bench", "sd15", "--tiny", "--device", "cpu", "--method", "deepcache", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures["command"].startswith("python -m hgc bench sd15 --device cpu --shapes sd15 --size 64 --steps 4")
    assert {"device", "driver", "torch", "cuda", "diffusers", "threads"} == figures["machine"].keys()
    assert figures["missing"] == ["recorded: not measured, a cpu device records nothing"]


def test_sd15_refuses_an_unknown_method() -> None:
    with pytest.raises(RequestRefused, match="unknown method 'magic'"):
        sd15.TimedSetting(methods=("magic",))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"size": 100}, "--size 100"),
        ({"repeats": 0}, "--repeats 0"),
        ({"dtype": "int8"}, "int8"),
        ({"shapes": "flux"}, "flux"),
        ({"batch": 0}, "--batch 0"),
    ],
)
def test_sd15_refuses_what_cannot_be_run(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BenchRefused, match=says):
        sd15.TimedSetting(**settings)


def test_random_networks_give_finite_numbers_and_the_same_each_time() -> None:
    first, second = (sd15.random_pipeline(SHAPES, torch.device("cpu"), torch.float32) for _ in range(2))
    for ours, theirs in zip(first.unet.parameters(), second.unet.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    latents = tiny.latents(first, steps=2, prompt=None, **embeddings())
    assert latents.isfinite().all()
    assert latents.std() > 0


def embeddings() -> dict[str, torch.Tensor]:
    noise = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return {"prompt_embeds": noise[0], "negative_prompt_embeds": noise[1]}


def test_a_film_plays_its_frames_for_ever_each_as_long_as_it_should(tmp_path: Path) -> None:
    shown_ms = [90, 1500, 3000]
    pictures = [Image.new("RGB", (48, 32), (80 * number, 90, 40)) for number in range(3)]
    frames = [film.FilmFrame(picture, ms) for picture, ms in zip(pictures, shown_ms, strict=True)]
    path = tmp_path / "films" / "film.webp"
    assert film.write(path, frames) == path.stat().st_size
    with Image.open(path) as written:
        assert written.info["loop"] == 0
        ends = []
        for number in range(written.n_frames):
            written.seek(number)
            written.load()
            ends.append(written.info["timestamp"] + written.info["duration"])
    assert ends == [90, 1590, 4590]
