"""A time for a picture becomes the greatest budget that keeps to it, by what each site was measured to take here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, UNGUIDED, Kind, State
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.recording.rows import Recordings
from hgc.cache.running.engine import cached
from hgc.cache.trace import Cell, Trace, TracedSite
from hgc.planning.in_time import TimeOutOfReach, within_ms
from hgc.planning.methods import METHODS, BelowLeast
from hgc.planning.row_times import RowTimes
from hgc.planning.task import Task
from hgc.request import Recipe, Request
from hgc.studio import timing
from hgc.studio.studio import Studio
from hgc.target import milliseconds

STEPS = 6


def recipe(method: str = "hgc", **fields: Any) -> Recipe:
    return Recipe.parse({"method": method, "budget": 1.0, "steps": STEPS} | fields)


def made_up(studio: Studio, asked: Recipe | None = None) -> RowTimes:
    """Times by which no two sites take equally long, and one branch takes more than half of two."""
    names = [site.name for site in studio.anatomy(asked or recipe())]
    two = {name: 1.0 + 0.01 * place for place, name in enumerate(names)}
    return RowTimes({2: two, 1: {name: 0.6 * ms for name, ms in two.items()}}, {2: 7.0, 1: 5.0, 0: 0.5}, 40.0)


@pytest.fixture
def timed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """Makes up the times that a studio measures; which recipes it was asked to measure."""
    asked: list[Recipe] = []

    def row_times(studio: Studio, recipe: Recipe) -> RowTimes:
        asked.append(recipe)
        return made_up(studio, recipe)

    monkeypatch.setattr(timing, "row_times", row_times)
    monkeypatch.setattr(studio, "_row_times", {})
    return asked


def test_times_are_read_off_a_watched_run() -> None:
    """A site's own time leaves out the sites inside it; medians leave out the step that was slow."""

    def cells(*times: float | None) -> tuple[Cell, ...]:
        return tuple(Cell(State.REUSED, "") if ms is None else Cell(State.COMPUTED, "", latency_ms=ms) for ms in times)

    trace = Trace(
        plan=Plan(Origin("timing"), 5, "landscapes", {PREDICTION: "CCCCR"}),
        model="landscapes",
        images=1,
        sites=(
            TracedSite("outer", Kind.TRANSFORMER, "unet", None),
            TracedSite("inner", Kind.CROSS_ATTENTION, "unet", "outer"),
        ),
        cells={"outer": cells(90, 10, 12, 6, None), "inner": cells(80, 3, 4, 1, None)},
        branches=(2, 2, 2, 1, 0),
        step_ms=(100, 15, 16, 8, 0.25),
        peak_bytes=0,
        device="cpu",
        dtype="float32",
    )
    found = RowTimes.of(trace, latency_ms=150)
    assert found.own == {2: {"outer": 8, "inner": 4}, 1: {"outer": 5, "inner": 1}}
    assert found.around == {2: 5, 1: 2, 0: 0.25}
    assert found.outside == pytest.approx(150 - 139.25)


@pytest.mark.parametrize("method", ["hgc", "optimised", "deepcache", "guidance_reuse", "step_skip", "fewer_steps"])
def test_a_picture_takes_what_its_run_computed(studio: Studio, method: str) -> None:
    """Added up over the cells of a run that took place, where planning only rehearses it."""
    asked = recipe(method, budget=0.6, size="64x64")
    plan, times = studio.plan(asked), made_up(studio, asked)
    blank = studio.prepare_control(np.zeros((64, 64, 4), np.uint8), "segmentation", size=(64, 64))
    request = asked.with_map(blank.png)
    pipe = studio.loaded.pipeline(request.controls, request.sampler)
    with cached(pipe, plan) as run:
        pipe(**{**studio.call(request), "num_inference_steps": plan.steps})
    ran, spent = run.trace, times.outside
    for step, branches in enumerate(ran.branches):
        spent += times.around[branches]
        for name, row in ran.cells.items():
            spent += times.own[branches][name] if row[step].state is State.COMPUTED else 0
    assert times.picture_ms(plan, studio.anatomy(asked)) == pytest.approx(spent)
    assert spent < times.picture_ms(schedules.full(studio.anatomy(asked), STEPS), studio.anatomy(asked))


@pytest.mark.parametrize("method", ["fewer_steps", "hgc", "deepcache", "step_skip"])
def test_the_greatest_budget_that_keeps_to_the_time_is_found(studio: Studio, method: str) -> None:
    task, times = Task(recipe(method), studio.blueprint), made_up(studio)
    plans = {percent: _plan(task, method, percent / 100) for percent in range(1, 101)}
    tried = {percent: times.picture_ms(plan, task.anatomy) for percent, plan in plans.items() if plan is not None}
    least, most = min(tried.values()), max(tried.values())
    for most_ms in (least, (least + most) / 2, 0.8 * most, 2 * most):
        found = within_ms(task, times, most_ms)
        assert found.ms == tried[round(100 * found.budget)] <= most_ms
        assert all(ms > most_ms for percent, ms in tried.items() if percent > 100 * found.budget)
    with pytest.raises(TimeOutOfReach, match="fewer steps than 6") as refused:
        within_ms(task, times, least - 0.01)
    assert refused.value.nearest == min(tried) / 100


def _plan(task: Task, method: str, share: float) -> Plan | None:
    """None below the method's least."""
    try:
        return METHODS[method].plan(task, share)
    except BelowLeast:
        return None


def test_a_shape_is_timed_once(studio: Studio, timed: list[Recipe]) -> None:
    first = studio.in_time(recipe("optimised"), 1e6)
    assert studio.in_time(recipe("hgc"), 1e6).full_ms == first.full_ms
    assert len(timed) == 1
    studio.in_time(recipe("hgc", guidance=1), 1e6)
    studio.in_time(recipe("hgc", control="edges"), 1e6)
    assert [(one.guidance, one.control) for one in timed[1:]] == [(1, "segmentation"), (2, "edges")]


def test_without_guidance_and_with_a_window_a_picture_takes_less(studio: Studio, timed: list[Recipe]) -> None:
    whole = studio.in_time(recipe(), 1e6).full_ms
    assert studio.in_time(recipe(guidance=1), 1e6).full_ms < 0.7 * whole
    assert studio.in_time(recipe(control_end=0.5), 1e6).full_ms < 0.9 * whole
    assert len(timed) == 2


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_kind_of_step_is_timed_for_real(studio: Studio, guidance: float) -> None:
    asked = recipe(size="64x64", guidance=guidance)
    found, names = timing.row_times(studio, asked), {site.name for site in studio.anatomy(asked)}
    branches = {1, 2} if guidance > 1 else {1}
    assert set(found.around) == {0, *branches}
    for count in branches:
        assert set(found.own[count]) >= names - {UNGUIDED, PREDICTION}
        assert sum(found.own[count].values()) > found.around[0]
    assert studio.in_time(asked, 1e6).ms > 0


def test_what_cannot_be_timed_is_said(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanRefused, match="never timed here"):
        replace(made_up(studio), own={}).picture_ms(schedules.full(studio.anatomy(), 2), studio.anatomy())
    for most_ms in (0, -1, float("nan"), float("inf")):
        with pytest.raises(PlanRefused, match=r"1 to 86,400,000"):
            studio.in_time(recipe(), most_ms)
    monkeypatch.setattr(studio, "_row_times", {})
    monkeypatch.setattr(studio, "recordings", Recordings())
    with pytest.raises(PlanRefused, match="recorded"):
        studio.in_time(recipe(), 1000)
    monkeypatch.setattr(studio, "recordings", None)
    monkeypatch.setattr(studio, "lent", True, raising=False)
    with pytest.raises(PlanRefused, match="borrowed"):
        studio.in_time(recipe(), 1000)


@pytest.mark.parametrize(
    ("text", "most_ms"),
    [("2 s", 2000), ("2.5S", 2500), (" 800 ms ", 800), ("45 dB", None), ("2", None), ("-1 s", None), ("2 m", None)],
)
def test_a_time_is_read_as_people_write_it(text: str, most_ms: float | None) -> None:
    assert milliseconds(text) == most_ms


@pytest.mark.usefixtures("loaded", "timed")
def test_the_shell_takes_a_time_in_the_place_of_a_budget(studio: Studio, tmp_path: Path) -> None:
    command = ["compare", "--image", "assets/examples/lake.png", "--steps", "4", "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, [*command, "--at-most-ms", "500", "--budget", "0.5"])
    assert refused.exit_code == 2
    assert "give one of them" in refused.output
    late = CliRunner().invoke(app, [*command, "--at-most-ms", "2"])
    assert late.exit_code == 2
    assert "Optimised takes " in late.output
    whole = studio.in_time(recipe("optimised", steps=4), 1e6).full_ms
    made = CliRunner().invoke(app, [*command, "--at-most-ms", str(0.6 * whole)])
    assert made.exit_code == 0, made.output
    assert "By times measured on this device a picture takes" in " ".join(made.output.split())
    request = Request.parse((tmp_path / "out" / "request.json").read_text())
    assert request.budget == studio.in_time(recipe("optimised", steps=4), 0.6 * whole).budget
    assert json.loads((tmp_path / "out" / "request.json").read_text())["at_least"] is None
