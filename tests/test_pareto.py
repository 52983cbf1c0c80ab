"""The benchmark of methods, budgets and solvers: drawn in batches, resumed, told; and calibration's own scenes."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench.pareto import FULL, Ledger, Point, Shown, as_json, as_text, charted
from hgc.cache.plan import Plan
from hgc.cli.optimize import VERIFYING_SEEDS
from hgc.landscapes.data import EVALUATION_SEEDS, READER_SEEDS, SEGMENTER_SEEDS, TRAINING_SEEDS
from hgc.request import Request
from hgc.service.batches import cut_out, together
from hgc.service.calibrating import CALIBRATION_SEEDS

SHOWN = Shown(0, 40.0, 0.99, 0.01, 30.0, 0.8, 50.0)
POINT = Point(
    "hgc", "edges", "ddim", 0.5, 49, 0.49, 1, 40.0, 1.0, 0.99, None, None, 0.8, 0.01, 50.0, 2.0, 3.0, (SHOWN,)
)
PNG = BytesIO()
Image.new("RGB", (256, 256)).save(PNG, "PNG")


def test_scenes_that_plans_are_made_from_verified_on_and_judged_on_are_apart() -> None:
    made_from = (SEGMENTER_SEEDS, READER_SEEDS, TRAINING_SEEDS, CALIBRATION_SEEDS)
    starts = sorted((*made_from, VERIFYING_SEEDS, EVALUATION_SEEDS))
    assert all(after - before >= 50_000 for before, after in pairwise(starts))


def test_calls_together_keep_each_its_own_and_are_cut_to_their_middle() -> None:
    calls = [
        {"image": torch.full((1, 3, 64, 64), i), "latents": torch.full((1, 4, 8, 8), i), "scale": 1.0} for i in (1, 2)
    ]
    calls[0]["image"][:, :, 16:48, 16:48] = 5
    batch = cut_out(together(calls), 32)
    assert batch["scale"] == 1.0
    assert batch["image"].shape == (2, 3, 32, 32)
    assert batch["latents"].shape == (2, 4, 4, 4)
    assert batch["image"].unique().tolist() == [2, 5]


def test_a_stopped_benchmark_goes_on_where_it_was(tmp_path: Path) -> None:
    path, plan, request = tmp_path / "pareto.jsonl", Plan("p", 2, "m"), Request.make(PNG.getvalue(), steps=2)
    Ledger(path, "key").add(request, plan, SHOWN)
    path.write_text(path.read_text() + '\n{"key": "half')
    assert Ledger(path, "key").known(request, plan) == SHOWN
    assert Ledger(path, "other weights").known(request, plan) is None
    assert Ledger(path, "key").known(request, Plan("p", 3, "m")) is None


def test_points_are_told_in_order_with_what_they_lead_by() -> None:
    worse = replace(POINT, method="fewer_steps", psnr=37.0, lead_db=0.0)
    header, first, second, measured = as_text([worse, POINT], "here").splitlines()
    assert (first.split()[3], second.split()[3], measured) == ("hgc", "fewer_steps", "here")
    assert "+3.0" in first
    assert json.loads(as_json([POINT], "here"))["points"][0]["psnr"] == 40.0
    assert "lead" in header


def test_the_chart_is_of_every_picture_but_the_full_runs() -> None:
    drawn = charted([replace(POINT, method=FULL), POINT, replace(POINT, method="fewer_steps", psnr=37.0)])
    assert [(point.series, point.rival) for point in drawn] == [("HGC", False), ("Fewer steps", True)]
    assert (drawn[0].place, drawn[0].psnr, drawn[0].share) == ("50.0%", SHOWN.psnr, POINT.share)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["bench", "pareto", "--scenes", "0"], "--scenes 0"),
        (["bench", "pareto", "--method", "magic"], "unknown method 'magic'"),
        (["optimize", "--out", "x.json", "--budget", "1.5"], "--budget 1.5"),
        (["optimize", "--out", "x.json", "--scenes", "1"], "how wide the error bar is"),
        (["optimize", "--out", "x.json", "--side", "100"], "multiple of 64"),
    ],
)
@pytest.mark.usefixtures("loaded")
def test_commands_refuse_in_a_sentence(command: list[str], said: str) -> None:
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.usefixtures("loaded")
def test_the_benchmark_runs_and_resumes_from_the_command_line(tmp_path: Path) -> None:
    work, out = tmp_path / "pareto.jsonl", tmp_path / "pareto.json"
    few = ["--scenes", "2", "--batch", "2", "--no-drawings", "--long", "0", "--steps", "3", "--budget", "0.7"]
    ways = ["--control", "edges", "--method", "deepcache", "--method", "fewer_steps"]
    command = ["bench", "pareto", *few, *ways, "--work", str(work), "--out", str(out)]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    points = {point["method"]: point for point in json.loads(out.read_text())["points"]}
    assert list(points) == ["full", "deepcache", "fewer_steps"]
    assert points["full"]["psnr"] == 99.0
    assert points["deepcache"]["share"] <= 0.7
    assert points["deepcache"]["lead_db"] == pytest.approx(points["deepcache"]["psnr"] - points["fewer_steps"]["psnr"])
    assert points["full"]["pictures"] == 2
    assert "edges, ddim" in out.with_suffix(".html").read_text()
    before = work.read_text()
    again = CliRunner().invoke(app, command)
    assert again.stdout == first.stdout
    assert work.read_text() == before
