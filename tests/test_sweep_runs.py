"""Sweeps drawn by the embedded model in a few steps each: every arm once, refusals told, tables, the shell."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import fastparquet
import gradio as gr
import numpy as np
import pytest
from PIL import Image
from serving import forgotten_loops
from small import SIZE
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache.schedules import HGC
from hgc.evidence import read_signed
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request
from hgc.results.comparison import Comparison, Progress
from hgc.studio.arm_cache import ArmCache
from hgc.studio.studio import Studio
from hgc.sweep import Axis, Sweep, SweepCell
from hgc.sweep.folder import sheet
from hgc.sweep.pricing import jobs
from hgc.sweep.run import Outcome, SweepUnderway, run_cells
from hgc.sweep.table import as_csv, as_parquet, points, records
from hgc.ui import Loader
from hgc.ui.playground.drawing import ControlMap
from hgc.ui.playground.form import form_outputs, read_form, write_form
from hgc.ui.playground.tab import build_playground
from hgc.ui.runner import Runner

SCENE = paint(9_000_005)
STEPS = 4


@pytest.fixture(scope="module")
def base(studio: Studio) -> Request:
    png = studio.prepare_control(colour_map(SCENE.labels), "segmentation", size=SIZE).png
    return Request.make(png, size=SIZE, prompt=SCENE.caption, steps=STEPS, rival="fewer_steps")


@pytest.fixture(scope="module")
def sweep(base: Request) -> Sweep:
    """Two budgets, one of them out of reach, under two seeds."""
    return Sweep(base, Axis("budget", (0.1, 0.6, 0.75)), Axis("seed", (0, 1)))


@pytest.fixture(scope="module")
def news(studio: Studio, sweep: Sweep) -> list[SweepUnderway | Outcome]:
    return list(run_cells(studio, sweep.cells))


@pytest.fixture(scope="module")
def outcomes(news: list[SweepUnderway | Outcome]) -> list[Outcome]:
    """In the order of the cells; what cannot be drawn is told before all others."""
    told = [one for one in news if isinstance(one, Outcome)]
    assert [out.comparison is None for out in told] == [True, True, False, False, False, False]
    return sorted(told, key=lambda out: (out.cell.repeat, out.cell.row, out.cell.column))


def alone(studio: Studio, request: Request) -> Comparison:
    *_, last = studio.compare(request)
    assert isinstance(last, Comparison)
    return last


def test_a_run_of_a_sweep_is_the_run_alone(studio: Studio, outcomes: list[Outcome]) -> None:
    last = outcomes[-1].comparison
    assert last is not None
    single = alone(studio, outcomes[-1].cell.request)
    assert last.arms.keys() == single.arms.keys() == {"full", "cached", "rival"}
    for name, arm in single.arms.items():
        assert np.array_equal(last.arms[name].image, arm.image)
        assert last.arms[name].trace.digest == arm.trace.digest
    assert last.likeness == single.likeness
    assert last.digest == single.digest


def test_the_full_picture_is_computed_once_for_each_seed(news: list[SweepUnderway | Outcome]) -> None:
    steps = [one.progress.step for one in news if isinstance(one, SweepUnderway) and one.progress.arm == "full"]
    assert steps == list(range(1, STEPS + 1)) * 2
    under_way = [one for one in news if isinstance(one, SweepUnderway)]
    done = [one.done for one in under_way]
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] <= 1
    assert all(one.eta_s >= 0 for one in under_way)


def test_what_cannot_be_drawn_says_why_and_the_rest_is_drawn(outcomes: list[Outcome]) -> None:
    refused = [out for out in outcomes if out.comparison is None]
    assert [out.cell.column for out in refused] == [0, 0]
    assert all("10.0%" in out.refusal for out in refused)
    assert len(outcomes) == 6


def test_the_price_counts_what_is_computed(studio: Studio, sweep: Sweep, outcomes: list[Outcome]) -> None:
    planned = jobs(studio, sweep.cells)
    assert [bool(job.refusal) for job in planned] == [True, False, False, True, False, False]
    first = outcomes[1].comparison
    assert first is not None
    assert planned[1].macs == first.full.trace.macs.full + 2 * first.cached.trace.macs.full
    assert planned[2].macs < planned[1].macs


def test_the_same_plan_of_the_same_picture_is_drawn_once(studio: Studio, base: Request) -> None:
    ask = base.model_copy(update={"rival": None, "cache": HGC(lambda_inter=0.5)})
    cells = [SweepCell(0, 0, repeat, ask) for repeat in range(2)]
    told = list(run_cells(studio, cells))
    assert sum(isinstance(one, SweepUnderway) for one in told) == 2 * STEPS
    first, second = (one.comparison for one in told if isinstance(one, Outcome))
    assert first is not None
    assert second is not None
    assert second.cached.image is first.cached.image


def test_stop_keeps_what_is_there(studio: Studio, sweep: Sweep) -> None:
    stop, there = threading.Event(), []
    for one in run_cells(studio, sweep.cells, cancel=stop):
        if isinstance(one, Outcome):
            there.append(one)
            if one.comparison is not None:
                stop.set()
    assert [out.cell.key for out in there] == ["0-0-0", "0-1-0", "1-0-0"]


def test_csv_and_parquet_hold_the_same_table(tmp_path: Path, sweep: Sweep, outcomes: list[Outcome]) -> None:
    rows = list(records(sweep, outcomes).values())
    written = list(csv.DictReader(StringIO(as_csv(rows))))
    (tmp_path / "sweep.parquet").write_bytes(as_parquet(rows))
    with (tmp_path / "sweep.parquet").open("rb") as file:
        table = fastparquet.ParquetFile(file).to_pandas()
    assert len(written) == len(table) == len(rows) == 6
    for line, row, typed in zip(written, rows, table.to_dict("records"), strict=True):
        assert float(line["budget"]) == typed["budget"] == row["budget"]
        assert int(line["seed"]) == typed["seed"] == row["seed"]
        if row["refused"]:
            assert line["refused"] == typed["refused"] == row["refused"]
            assert line["psnr"] == ""
        else:
            assert float(line["psnr"]) == typed["psnr"] == row["psnr"]
            assert int(line["macs_rival"]) == typed["macs_rival"] == row["macs_rival"]


def test_points_join_the_seeds_and_set_the_rival_apart(sweep: Sweep, outcomes: list[Outcome]) -> None:
    found = points(sweep, records(sweep, outcomes))
    assert {(point.series, point.place, point.rival) for point in found} == {
        ("HGC", "Budget 60%", False),
        ("HGC", "Budget 75%", False),
        ("Fewer steps", "at the cost of Budget 60%", True),
        ("Fewer steps", "at the cost of Budget 75%", True),
    }
    assert len(found) == 8
    assert all(point.share <= (0.6 if "60" in point.place else 0.75) for point in found if not point.rival)


def test_the_sheet_has_a_tile_for_every_place(sweep: Sweep, outcomes: list[Outcome]) -> None:
    pictures = {out.cell.key: out.comparison.cached.image for out in outcomes if out.comparison is not None}
    image, bare = sheet(sweep, pictures), sheet(sweep, {})
    assert image.size == bare.size
    assert image.size[0] > 3 * 192
    assert image.tobytes() != bare.tobytes()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 7, "guidance": 2.5, "rival": "deepcache", "budget": 0.75},
        {"method": "deepcache", "budget": 0.7, "seed": 3},
        {"steps": 9, "rival": None, "cache": HGC(fine=False, lambda_inter=0.34, order=0)},
        {"steps": 9, "sampler": "dpmpp", "cache": HGC(gate=0.5, attention_every=2, threshold=0.2)},
        {"steps": 9, "cache": HGC(threshold=0.2, release=0.15, most=3)},
    ],
)
def test_a_run_put_back_into_the_form_asks_for_the_same(studio: Studio, base: Request, changed: dict[str, Any]) -> None:
    asked = base.model_copy(update=changed)
    with forgotten_loops(), gr.Blocks():
        page = build_playground(Runner(Loader(lambda: studio).start()))
    updates = write_form(page, asked, studio.plan(asked), drawn=None)
    assert set(updates) <= set(form_outputs(page))
    values = [updates.get(component, component.value) for component in page.run_inputs]
    skipped = [
        component.value if value == gr.skip() else value
        for component, value in zip(page.run_inputs, values, strict=True)
    ]
    again = read_form(page, ControlMap(asked.control_bytes, asked.control), skipped)
    assert again.picture_digest == asked.picture_digest
    assert again.rival == asked.rival
    assert studio.plan(again).digest == studio.plan(asked).digest


# The shell


class Counted:
    """The studio, counting what it is asked to draw."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self.drawn = studio, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._studio, name)

    def compare(self, request: Request, **given: Any) -> Iterator[Progress | Comparison]:
        self.drawn += 1
        return self._studio.compare(request, **given)


@pytest.fixture
def counted(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Counted:
    counting = Counted(studio)
    monkeypatch.setattr(Studio, "load", lambda *_: counting)
    return counting


def run(out: Path, *more: str) -> Any:
    drawing = out.parent / "map.png"
    Image.fromarray(colour_map(SCENE.labels)).save(drawing)
    command = ["sweep", "--image", str(drawing), "--steps", str(STEPS), "--out", str(out), *more]
    return CliRunner().invoke(app, command)


def test_a_sweep_from_the_shell_goes_on_where_it_was(tmp_path: Path, counted: Counted) -> None:
    out = tmp_path / "out"
    asked = ["--x", "budget=0.1, 0.75", "--y", "seed=0..1"]
    first = run(out, *asked)
    assert first.exit_code == 0, first.output
    assert counted.drawn == 2
    assert "Optimised cannot go down to 10.0%" in first.stdout
    table, whole = (out / "sweep.csv").read_text(), (out / "sheet.png").read_bytes()
    assert {path.name for path in out.iterdir()} == {"runs", "sweep.csv", "sweep.parquet", "sheet.png"}
    rows = list(csv.DictReader(StringIO(table)))
    pictures = [row["picture"] for row in rows if row["picture"]]
    assert len(rows) == 4
    assert len(pictures) == 2
    assert [read_signed((out / name).read_bytes()).evidence.request.seed for name in pictures] == [0, 1]

    assert run(out, *asked).exit_code == 0
    assert counted.drawn == 2, "what is there is not drawn again"
    assert (out / "sweep.csv").read_text() == table
    assert (out / "sheet.png").read_bytes() == whole

    (out / pictures[0]).write_bytes((out / pictures[0]).read_bytes()[:200])
    more = run(out, *asked, "--json")
    assert counted.drawn == 3, "a picture cut short is drawn again"
    assert [row["seed"] for row in json.loads(more.stdout)] == [0, 0, 1, 1]
    assert BytesIO((out / "sheet.png").read_bytes()).getvalue() == whole


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--x", "budget"], "'budget': name a setting and its values"),
        (["--x", "flavour=1"], "nothing is called 'flavour'"),
        (["--x", "budget=0.1"], "Optimised cannot go down to 10.0%"),
        (["--x", "method=magic"], "Method: 'magic'; choose among optimised, hgc, "),
        (["--x", "seed=0..999"], "at most 100"),
    ],
)
def test_a_refusal_is_one_line(tmp_path: Path, counted: Counted, given: list[str], says: str) -> None:
    refused = run(tmp_path / "out", *given)
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_costs_the_same_is_priced_once(studio: Studio, base: Request) -> None:
    asked: list[int] = []

    def find(request: Request) -> Any:
        asked.append(request.seed)
        return studio.forecast(request)

    drawn = ArmCache()
    priced = [drawn.forecast(base.model_copy(update={"seed": seed, "budget": 0.75}), find) for seed in range(3)]
    assert asked == [0]
    assert priced[0] is priced[2]
