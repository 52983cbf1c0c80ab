"""The benchmark of methods, budgets and solvers: drawn in batches, resumed, told; and calibration's own scenes."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench.intervals import interval
from hgc.bench.pareto import ParetoSetup, entries, pages_of
from hgc.bench.points import FULL, Ledger, MethodPoint, PlanPicture, Rows, charted, points, text
from hgc.bench.setup import BenchRefused
from hgc.cache.anatomy import Macs
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cli.optimize import VERIFYING_SEEDS
from hgc.planning import Task
from hgc.planning.methods import METHODS
from hgc.request import Request
from hgc.studio.calibrating import CALIBRATION_SEEDS
from hgc.studio.scenes import cut_out, painted, together
from hgc.studio.studio import Studio
from hgc.training.dataset import EVALUATION_SEEDS, READER_SEEDS, SEGMENTER_SEEDS, TRAINING_SEEDS

SHOWN = PlanPicture(0, 40.0, 0.99, 0.01, 30.0, 0.8, {}, 50.0, together=1, threads=2)
WHOLE = PlanPicture(0, 99.0, 1.0, 0.0, 31.0, 0.8, {}, 100.0, together=1, threads=2)


def table(*rows: Rows) -> list[MethodPoint]:
    return points("edges", "ddim", [Rows(FULL, 1.0, Macs(100, 150), [WHOLE] * len(rows[0].shown)), *rows])


WHOLE_POINT, POINT, FEWER = table(
    Rows("hgc", 0.5, Macs(49, 70), [SHOWN]), Rows("fewer_steps", 0.5, Macs(50, 75), [replace(SHOWN, psnr=37.0)])
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
    """Half a line, as a kill leaves it, costs that picture only; other weights, plans or company are other pictures."""
    path, plan, request = (
        tmp_path / "work" / "pareto.jsonl",
        Plan(Origin("p"), 2, "m"),
        Request.make(PNG.getvalue(), steps=2),
    )
    Ledger(path, "key").add(request, plan, SHOWN)
    path.write_text(path.read_text() + '\n{"key": "half')
    again = Ledger(path, "key")
    assert again.known(request, plan, 1) == SHOWN
    assert again.known(request, plan, 4) is None
    assert again.known(request, Plan(Origin("p"), 3, "m"), 1) is None
    assert Ledger(path, "other weights").known(request, plan, 1) is None


def test_points_are_means_and_medians_against_the_full_run() -> None:
    later = replace(SHOWN, psnr=20.0, ssim=0.97, perceptual=0.03, control_score=0.4, latency_ms=40.0)
    _, point = table(Rows("hgc", 0.5, Macs(49, 70), [SHOWN, later]))
    assert (point.share, point.psnr, point.psnr_spread, point.lead_db) == (0.49, 30.0, 10.0, None)
    assert (point.ssim, point.perceptual) == (pytest.approx(0.98), pytest.approx(0.02))
    assert (point.control_score, point.control_lost) == (pytest.approx(0.6), pytest.approx(0.25))
    assert (point.alone_ms, point.alone_speedup, point.together_speedup) == (45.0, 2.25, None)
    assert (POINT.lead_db, FEWER.lead_db) == (3.0, 0.0)


def test_label_maps_are_judged_over_the_pixels_of_all_pictures() -> None:
    """Three pixels of water lost in one picture are three pixels, not that picture's whole class."""
    whole = [
        replace(WHOLE, overlaps={"sky": (90, 100)}),
        replace(WHOLE, overlaps={"sky": (90, 100), "water": (80, 100)}),
    ]
    own = [replace(whole[0], overlaps={"sky": (90, 100), "water": (0, 3)}), whole[1]]
    full, point = points(
        "segmentation", "ddim", [Rows(FULL, 1.0, Macs(1, 1), whole), Rows("hgc", 0.5, Macs(1, 1), own)]
    )
    assert full.control_score == pytest.approx(0.85)
    assert point.control_score == pytest.approx((0.9 + 80 / 103) / 2)
    assert point.control_lost == pytest.approx(1 - point.control_score / full.control_score)


def test_an_error_is_lost_where_it_grows() -> None:
    """Depth is scored by how far it lies from its map."""
    whole, own = replace(WHOLE, control_score=10.0), replace(SHOWN, control_score=12.0)
    full, point = points("depth", "ddim", [Rows(FULL, 1.0, Macs(1, 1), [whole]), Rows("hgc", 0.5, Macs(1, 1), [own])])
    assert (full.control_lost, point.control_lost) == (0, pytest.approx(0.2))


def test_times_of_pictures_drawn_together_stand_apart() -> None:
    many = replace(SHOWN, together=4, latency_ms=20.0)
    _, point = table(Rows("hgc", 0.5, Macs(49, 70), [SHOWN, many]))
    assert (point.alone_speedup, point.together_ms, point.together_speedup) == (2.0, 20.0, 5.0)


def test_pictures_on_the_clock_are_drawn_alone_and_the_others_together() -> None:
    requests = [Request.make(PNG.getvalue(), seed=seed) for seed in range(9)]
    groups = ParetoSetup((), (), batch=3, alone=2).groups(requests)
    assert [[request.seed for request in group] for group in groups] == [[0], [1], [2, 3, 4], [5, 6, 7], [8]]
    with pytest.raises(BenchRefused, match="--batch 0"):
        ParetoSetup((), (), batch=0)
    with pytest.raises(BenchRefused, match="--null-steps 0: choose 1 or more"):
        ParetoSetup((), (), null_steps=(50, 0))


def test_points_are_told_in_order_with_what_they_lead_by() -> None:
    header, first, second, measured = text([FEWER, POINT], "here").splitlines()
    assert (first.split()[2], second.split()[2], measured) == ("hgc", "fewer_steps", "here")
    assert "+3.0" in first
    assert "lead" in header


def test_an_interval_is_that_of_the_means_own_spread() -> None:
    """Of many values of a normal distribution the bootstrap's 95% are the mean and 1.96 standard errors about it."""
    values = np.random.default_rng(3).normal(40, 3, 400)
    mean, error = values.mean(), values.std(ddof=1) / len(values) ** 0.5
    assert interval(list(values)) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.06)
    assert interval([40.0]) is None


def test_a_lead_is_compared_picture_by_picture() -> None:
    """Pictures differ by much more than methods do: paired, one that is always 2 dB ahead is surely ahead."""
    psnrs = (30.0, 50.0, 41.0, 35.0)
    ahead = [replace(SHOWN, psnr=psnr + 2) for psnr in psnrs]
    _, own, fewer = table(
        Rows("hgc", 0.5, Macs(49, 70), ahead),
        Rows("fewer_steps", 0.5, Macs(50, 75), [replace(SHOWN, psnr=psnr) for psnr in psnrs]),
    )
    assert own.lead_interval == pytest.approx((2.0, 2.0))
    assert own.psnr_interval is not None
    assert own.psnr_interval[1] - own.psnr_interval[0] > 5
    assert fewer.lead_interval == (0.0, 0.0)


def test_the_chart_is_of_every_picture_but_the_full_runs() -> None:
    drawn = charted([WHOLE_POINT, POINT, FEWER])
    assert [(point.series, point.rival) for point in drawn] == [("HGC", False), ("Fewer steps", True)]
    assert (drawn[0].place, drawn[0].psnr, drawn[0].share) == ("50.0%", SHOWN.psnr, POINT.share)


def test_the_rows_are_the_apps_methods_and_what_is_missing_is_told(studio: Studio) -> None:
    missing = list[str]()
    task = Task(painted(studio, 0, {"control": "edges", "steps": 20}), studio.blueprint)
    full, *found = entries(studio, ParetoSetup(tuple(METHODS), (0.5, 0.2)), task, missing.append)
    assert (full.method, full.plan.table) == (FULL, {})
    told = {title for title in (method.title for method in METHODS.values()) if any(title in line for line in missing)}
    assert {METHODS[entry.method].title for entry in found} | told == {method.title for method in METHODS.values()}
    assert {"optimised", "hgc", "deepcache", "fewer_steps"} <= {entry.method for entry in found}
    assert all(task.share(entry.plan) <= 1.0001 * entry.budget for entry in found)
    assert any("Guidance reuse at 20.0%: " in sentence and "or more" in sentence for sentence in missing)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["bench", "pareto", "--scenes", "0", "--no-drawings"], "--scenes 0"),
        (["bench", "pareto", "--method", "magic"], "unknown method 'magic'"),
        (["optimize", "--out", "x.json", "--budget", "1.5"], "budget 1.5: choose a share"),
        (["optimize", "--out", "x.json", "--scenes", "1"], "how wide the error bar is"),
        (["optimize", "--out", "x.json", "--side", "100"], "multiple of 64"),
    ],
)
@pytest.mark.usefixtures("loaded")
def test_commands_refuse_in_a_sentence(command: list[str], said: str) -> None:
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert said in refused.output


def test_the_null_band_is_of_the_first_calls_that_lie_in_it_whole(studio: Studio, tmp_path: Path) -> None:
    """Its rows are full runs: one of other noise, one for each number of steps; the others' rows keep all pictures."""
    requests = [painted(studio, seed, {"control": "edges", "steps": 20}) for seed in range(5)]
    setup = ParetoSetup(("fewer_steps",), (0.5,), batch=2, alone=1, null=4)
    entered = list(entries(studio, setup, Task(requests[0], studio.blueprint), print))
    assert [(e.method, e.budget, e.plan.steps, e.other_noise) for e in entered] == [
        (FULL, 1.0, 20, False),
        ("fewer_steps", 0.5, 10, False),
        ("other seed", 1.0, 20, True),
        ("50 steps", 2.5, 50, False),
        ("200 steps", 10.0, 200, False),
    ]
    assert not any(entry.plan.table for entry in entered)
    pages = pages_of(setup, requests, entered, Ledger(tmp_path / "pareto.jsonl", "key"))
    assert [page.missing for page in pages] == [(0, 1, 2, 3, 4), (0, 1, 2, 3, 4), (0, 1)]
    again = entered[2].noised(requests[0])
    assert (again.seed, again.control_png, again.prompt) != (0, requests[0].control_png, requests[0].prompt)
    assert (again.control_png, again.prompt) == (requests[0].control_png, requests[0].prompt)


def test_a_row_of_fewer_pictures_is_compared_with_the_same_ones_of_the_full_run() -> None:
    wholes = [replace(WHOLE, control_score=score, latency_ms=ms) for score, ms in ((0.8, 100.0), (0.2, 900.0))]
    _, band = points(
        "edges", "ddim", [Rows(FULL, 1.0, Macs(1, 1), wholes), Rows("other seed", 1.0, Macs(1, 1), [SHOWN])]
    )
    assert (band.pictures, band.alone_speedup) == (1, 2.0)
    assert band.control_lost == pytest.approx(0)


@pytest.mark.usefixtures("loaded")
def test_the_benchmark_runs_and_resumes_from_the_command_line(tmp_path: Path) -> None:
    work, out = tmp_path / "pareto.jsonl", tmp_path / "pareto.json"
    few = [
        "--scenes",
        "3",
        "--batch",
        "2",
        "--alone",
        "1",
        "--no-drawings",
        "--long",
        "0",
        "--null",
        "1",
        "--null-steps",
        "4",
        "--steps",
        "3",
        "--budget",
        "0.7",
    ]
    ways = ["--control", "edges", "--method", "deepcache", "--method", "fewer_steps"]
    command = ["bench", "pareto", *few, *ways, "--work", str(work), "--out", str(out)]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    points = {point["method"]: point for point in json.loads(out.read_text())["points"]}
    assert list(points) == ["full", "deepcache", "fewer_steps", "other seed", "4 steps"]
    assert points["other seed"]["pictures"] == points["4 steps"]["pictures"] == 1
    assert points["other seed"]["psnr"] < 60 > points["4 steps"]["psnr"]
    assert points["full"]["psnr"] == 99.0
    assert points["deepcache"]["share"] <= 0.7
    assert points["deepcache"]["lead_db"] == pytest.approx(points["deepcache"]["psnr"] - points["fewer_steps"]["psnr"])
    assert points["full"]["pictures"] == 3
    assert points["full"]["alone_ms"] > 0 < points["full"]["together_ms"]
    assert "edges, ddim" in out.with_suffix(".html").read_text()
    before = work.read_text()
    again = CliRunner().invoke(app, command)
    assert again.stdout == first.stdout
    assert work.read_text() == before
