"""Optimised plans: weights of least squares, dynamic programming against trying all, search, keeping, transfer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import control_image, control_pipeline, small_pipeline

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy
from hgc.cache.anatomy.measured import measure as count
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rehearsal import plan_macs, rehearse
from hgc.cache.rules import CalibrationRefused, ForecastRule, Verification, Weighing
from hgc.cache.running.engine import cached
from hgc.cache.schedules import OutOfReach, exact, full
from hgc.calibration.subject import Subject
from hgc.optimise.course import Course, plan_of, rows
from hgc.optimise.dynamic import Dynamic
from hgc.optimise.measure import Scenes, measure
from hgc.optimise.neighbours import fitted, neighbours
from hgc.optimise.predict import ErrorTable, Predictor, best_weights, forecast_error
from hgc.optimise.search import Runs, SearchSession, search
from hgc.optimise.shelf import Rung, Shelf, carried, stretched, unbeaten
from hgc.optimise.trials import Fidelity, InTurn
from hgc.planning import Blueprint, Task
from hgc.planning import optimised as service
from hgc.planning.measured import FIGURES
from hgc.request import Recipe

STEPS = 6
SUBJECT = Subject("tiny", "segmentation", "ddim", STEPS, 4.0)


@pytest.fixture(scope="module")
def pipe() -> Any:
    return small_pipeline("sd", "text", True)


@pytest.fixture(scope="module")
def anatomy(pipe: Any) -> Anatomy:
    return count(Networks.of(pipe), (16, 16), 16, model="tiny")


def call(pipe: Any, images: int = 2) -> dict[str, Any]:
    torch.manual_seed(5)
    text, none = pipe.encode_prompt("a lake", "cpu", 1, True)
    return {
        "prompt_embeds": text.expand(images, -1, -1),
        "negative_prompt_embeds": none.expand(images, -1, -1),
        "image": control_image().expand(images, -1, -1, -1),
        "latents": torch.randn(images, 4, 16, 16),
        "guidance_scale": 4.0,
    }


@pytest.fixture(scope="module")
def scenes(pipe: Any) -> Scenes:
    return Scenes(pipe, call(pipe))


@pytest.fixture(scope="module")
def trials(scenes: Scenes, anatomy: Anatomy) -> InTurn:
    return InTurn(scenes, anatomy, SUBJECT)


@pytest.fixture(scope="module")
def table(trials: InTurn, anatomy: Anatomy, tmp_path_factory: pytest.TempPathFactory) -> ErrorTable:
    return measure(trials, anatomy, SUBJECT, tmp_path_factory.mktemp("table") / "t.npz", lambda done, wanted: None)


@pytest.fixture(scope="module")
def predictor(anatomy: Anatomy, table: ErrorTable) -> Predictor:
    return Predictor(anatomy, table)


def made_up(course: Course) -> Fidelity:
    """Cheap to tell: the more is computed, and the earlier, the better."""
    worth = sum((5 - step) * (letter == "F") + 0.1 * letter.isdigit() for step, letter in enumerate(course.depths))
    return Fidelity((worth, worth + 1))


def test_weights_are_those_of_least_squares() -> None:
    features = np.random.default_rng(0).normal(size=(4, 500)).cumsum(0)
    products = features @ features.T / 500
    wanted, *_ = np.linalg.lstsq(features[:3].T, features[3], rcond=None)
    weights = best_weights(products, 3, (0, 1, 2), 1e-9)
    np.testing.assert_allclose(weights, wanted, atol=1e-5)
    left = features[3] - np.array(weights) @ features[:3]
    assert forecast_error(products, 3, (0, 1, 2), weights) == pytest.approx(np.sqrt(np.mean(left**2)), rel=1e-6)


def test_weighted_values_are_added_up_as_told(pipe: Any, anatomy: Anatomy) -> None:
    """An engine's forecast of the whole prediction against the sum of what the witness saw."""
    rule = ForecastRule("weighted", weighings=(Weighing(2, (0, 1), (-0.7, 1.5)), Weighing(3, (1,), (0.5,))))
    plan = Plan(Origin("p"), 4, "tiny", {PREDICTION: "CCFF"}, forecasts={PREDICTION: rule})
    seen: list[torch.Tensor] = []
    given: list[torch.Tensor] = []

    def spy(self: Any, model_output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        given.append(model_output.clone())
        return step(model_output, *args, **kwargs)

    step = pipe.scheduler.step
    pipe.scheduler.step = spy.__get__(pipe.scheduler)
    try:
        with cached(pipe, plan, witness=lambda kind, site, i, v: seen.append(v) if site == PREDICTION else None):
            pipe(**call(pipe), num_inference_steps=4, output_type="latent")
    finally:
        del pipe.scheduler.step
    unguided, guided = (-0.7 * seen[0] + 1.5 * seen[1]).chunk(2)
    torch.testing.assert_close(given[2], unguided + 4.0 * (guided - unguided))
    unguided, guided = (0.5 * seen[1]).chunk(2)
    torch.testing.assert_close(given[3], unguided + 4.0 * (guided - unguided))
    assert Plan.from_json(plan.to_json()) == plan


def test_weights_for_another_past_are_refused(anatomy: Anatomy) -> None:
    rule = ForecastRule("weighted", weighings=(Weighing(3, (0, 2), (-1.0, 2.0)),))
    with pytest.raises(PlanRefused, match=r"'unet', step 3.* 0, 1, 2"):
        rehearse(Plan(Origin("p"), 4, "tiny", {PREDICTION: "CCCF"}, forecasts={PREDICTION: rule}), anatomy)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ((2, (0, 1), (1.0,)), "1 for 2 past steps"),
        ((2, (1, 0), (1.0, 0.0)), "must rise from 0"),
        ((2, (2,), (1.0,)), "must rise from 0"),
        ((2, (0,), (float("nan"),)), "choose numbers"),
    ],
)
def test_strange_weights_are_refused(entry: tuple[Any, ...], said: str) -> None:
    with pytest.raises(PlanRefused, match=said):
        Weighing(*entry)


@pytest.mark.parametrize(("depths", "branches"), [("", ""), ("FF", "2"), ("FX", "22"), (".F", "22"), ("FF", "12")])
def test_strange_courses_are_refused(depths: str, branches: str) -> None:
    with pytest.raises(PlanRefused, match="course"):
        Course(depths, branches)


@pytest.mark.parametrize(
    "course", ["FF1F.1 222222", "FU.1F. 222222", "FF1F1F 221122", "F.F1F1 212112", "FFFFFF 222222"]
)
def test_a_course_costs_what_is_predicted_and_what_its_run_executes(
    pipe: Any, anatomy: Anatomy, predictor: Predictor, course: str
) -> None:
    chosen = Course(*course.split())
    plan = predictor.plan(chosen)
    with cached(pipe, plan) as run:
        pipe(**call(pipe), num_inference_steps=STEPS, output_type="latent")
    whole = plan_macs(full(anatomy, STEPS), anatomy).paper
    assert run.trace.macs.paper == 2 * plan_macs(plan, anatomy).paper
    assert predictor.cost(chosen) == pytest.approx(plan_macs(plan, anatomy).paper / whole, rel=1e-9)


@pytest.mark.parametrize("threshold", [0, 0.2, 9.9])
@pytest.mark.parametrize(
    "course", ["FF1F.1 222222", "FUUFUU 222222", "FF1F1F 221122", "F.F1F1 212112", "F.F.F. 222222"]
)
def test_a_verified_course_runs_whatever_its_forecasts_turn_out_to_be(
    pipe: Any, anatomy: Anatomy, table: ErrorTable, course: str, threshold: float
) -> None:
    """Weights are there to measure every forecast by; where a refresh leaves another past, lines take their place."""
    chosen = Course(*course.split())
    plain, plan = plan_of(chosen, anatomy, table), plan_of(chosen, anatomy, table, verified=True)
    plan = replace(plan, verification=Verification(threshold))
    with cached(pipe, plan) as run:
        found = pipe(**call(pipe), num_inference_steps=STEPS, output_type="latent").images
    assert torch.isfinite(found).all()
    measured = {(cell.reason, cell.forecast_error) for cell in run.trace.each() if cell.forecast_error is not None}
    assert measured
    least = 2 * plan_macs(plain, anatomy).paper
    if threshold == 9.9:
        with cached(pipe, plain):
            assert torch.equal(pipe(**call(pipe), num_inference_steps=STEPS, output_type="latent").images, found)
        assert run.trace.macs.paper == least
        assert not any("no weights" in cell.reason for cell in run.trace.each())
    else:
        assert run.trace.macs.paper >= least
    if threshold == 0:
        assert run.trace.macs.paper > least


def test_weights_of_every_past_are_in_the_plan(anatomy: Anatomy, predictor: Predictor) -> None:
    """Where the unguided branch was left out, both branches go on from different steps."""
    plan = predictor.plan(Course("FF1F1.", "221212"))
    entries = [entry for entry in plan.forecasts[PREDICTION].weighings or () if entry.at == 5]
    assert [entry.steps for entry in entries] == [(1, 3), (2, 3, 4)] or len({e.steps for e in entries}) == 2
    rehearse(plan, anatomy)


def test_without_a_table_a_course_goes_on_by_lines(anatomy: Anatomy) -> None:
    plan = plan_of(Course("FFF1.1", "222222"), anatomy, None)
    assert plan.forecasts == {}
    assert plan.table[PREDICTION] == "CCCCFC"
    assert plan_of(Course("F1F1", "2222"), anatomy, None).table["unet.up_blocks.1.attentions.0"] == "CRCF"


def test_dynamic_programming_finds_what_trying_all_finds(predictor: Predictor) -> None:
    letters = (".", "1", "F")
    dynamic = Dynamic(predictor, STEPS, letters)

    def added_up(depths: str) -> tuple[float, float] | None:
        state, error, cost = ((0,), (0,)), 0.0, predictor.cost(Course.full(1))
        for step, letter in enumerate(depths[1:], 1):
            state, more = dynamic.advance(state, step, letter)
            if more is None:
                return None
            error, cost = error + more, cost + predictor.step_cost(letter)
        return error, cost

    sums = [found for rest in product(letters, repeat=STEPS - 1) if (found := added_up("F" + "".join(rest)))]
    for price in (0.01, 0.1, 1.0, 10.0):
        best = min(error + price * cost for error, cost in sums)
        leg = dynamic.at_price(price)
        assert leg.error + price * leg.cost == pytest.approx(best)


@pytest.mark.parametrize("budget", [0.25, 0.4, 0.6, 0.9])
def test_nothing_planned_or_found_is_over_its_budget(predictor: Predictor, budget: float) -> None:
    planned = Dynamic(predictor, STEPS, predictor.letters).within(budget)
    filled = fitted(Course.full(STEPS), predictor, budget)
    found = search([planned, filled], predictor, made_up, budget, tries=8)
    for course in (planned, filled, found.course, *neighbours(found.course, predictor, budget)):
        assert predictor.cost(course) <= budget + 1e-9
        assert plan_macs(predictor.plan(course), predictor.anatomy).paper <= plan_macs(
            full(predictor.anatomy, STEPS), predictor.anatomy
        ).paper * (budget + 1e-9)


def test_search_is_never_worse_than_its_start(predictor: Predictor) -> None:
    start = fitted(Course.full(STEPS), predictor, 0.5)
    scores = [search([start], predictor, made_up, 0.5, tries=tries).fidelity.mean_db for tries in (1, 5, 20)]
    assert scores == sorted(scores)
    assert scores[0] == made_up(start).mean_db
    assert scores[-1] > scores[0]


def test_a_budget_out_of_reach_names_the_nearest(predictor: Predictor) -> None:
    with pytest.raises(OutOfReach, match=r"budget 1\.0%: .* cost"):
        Dynamic(predictor, STEPS, predictor.letters).within(0.01)
    with pytest.raises(OutOfReach, match=r"budget 1\.0%") as refusal:
        fitted(Course.full(STEPS), predictor, 0.01)
    assert refusal.value.nearest == pytest.approx(predictor.cost(Course("F" + "." * (STEPS - 1), "2" * STEPS)))
    with pytest.raises(PlanRefused, match="tries 0"):
        search([Course.full(STEPS)], predictor, made_up, 1.0, tries=0)


def test_an_error_table_stopped_and_resumed_is_the_same(
    pipe: Any, anatomy: Anatomy, table: ErrorTable, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, wanted: int) -> None:
        if done == 3:
            raise Stop

    def trials(subject: Subject = SUBJECT, images: int = 2) -> InTurn:
        return InTurn(Scenes(pipe, call(pipe, images)), anatomy, subject)

    state = tmp_path / "t.npz"
    with pytest.raises(Stop):
        measure(trials(), anatomy, SUBJECT, state, stop)
    steps: list[int] = []
    resumed = measure(trials(), anatomy, SUBJECT, state, lambda done, wanted: steps.append(done))
    assert steps[0] == 4
    np.testing.assert_allclose(resumed.growth, table.growth, rtol=1e-3)
    np.testing.assert_allclose(resumed.gains["1"], table.gains["1"], rtol=1e-3)
    with pytest.raises(CalibrationRefused, match=r"2 scenes.* 3"):
        measure(trials(images=3), anatomy, SUBJECT, state, lambda done, wanted: None)
    other = Subject("tiny", "segmentation", "unipc", STEPS, 4.0)
    with pytest.raises(CalibrationRefused, match="sampler is ddim"):
        measure(trials(other), anatomy, other, state, lambda done, wanted: None)


def test_a_search_resumed_runs_nothing_twice_and_ends_alike(
    predictor: Predictor, trials: InTurn, tmp_path: Path
) -> None:
    path = tmp_path / "runs.jsonl"
    first = Runs(trials, predictor, path, "key")
    session = SearchSession(first, tries=4)
    rung = session.rung(0.6)
    path.write_text(path.read_text() + '\n{"key": "key", "cour')  # stopped while writing
    again = Runs(trials, predictor, path, "key")
    assert SearchSession(again, tries=4).rung(0.6) == rung
    assert again.made == 0 < first.made
    elsewhere = Runs(trials, predictor, path, "other weights")
    elsewhere.of(rung.course)
    assert elsewhere.made == 1


def test_a_budget_below_what_the_program_looks_at_is_searched_too(
    predictor: Predictor, trials: InTurn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down to the first step alone."""
    monkeypatch.setattr("hgc.optimise.dynamic.WIDEST", 2)
    monkeypatch.setattr("hgc.optimise.dynamic.WIDEST_SKIP", 1)
    least = predictor.cost(Course("F" + "." * (STEPS - 1), "2" * STEPS))
    dynamic = Dynamic(predictor, STEPS, predictor.letters)
    assert least < predictor.cost(dynamic.cheapest)
    session = SearchSession(Runs(trials, predictor, tmp_path / "runs.jsonl", "key"), tries=3)
    for budget in (least, (least + predictor.cost(dynamic.cheapest)) / 2):
        with pytest.raises(OutOfReach):
            dynamic.within(budget)
        assert session.rung(budget).share <= budget + 1e-5
    with pytest.raises(OutOfReach) as refusal:
        session.rung(0.9 * least)
    assert refusal.value.nearest == pytest.approx(least)


def test_no_rung_is_worse_than_a_cheaper_one(predictor: Predictor, trials: InTurn, tmp_path: Path) -> None:
    runs = Runs(trials, predictor, tmp_path / "runs.jsonl", "key")
    cheap = SearchSession(runs, tries=12).rung(0.5)
    dear = SearchSession(runs, tries=5).rung(0.7, (cheap, replace(cheap, budget=0.3, fidelity_db=0.0)))
    assert dear.fidelity_db >= cheap.fidelity_db


def test_rungs_that_a_cheaper_one_beats_are_dropped(table: ErrorTable) -> None:
    def rung(budget: float, fidelity_db: float, share: float | None = None) -> Rung:
        course = Course("F" * STEPS, "2" * STEPS)
        return Rung(budget, course, budget if share is None else share, fidelity_db, 0.5, 15.0, 9)

    ladder = [rung(0.2, 30), rung(0.3, 29.9), rung(0.4, 35), rung(0.5, 35), rung(0.6, 40)]
    assert [kept.budget for kept in unbeaten(ladder)] == [0.2, 0.4, 0.6]
    assert unbeaten(ladder[::-1]) == unbeaten(ladder)
    assert [kept.budget for kept in unbeaten([rung(0.2, 30, 0.19), rung(0.3, 30, 0.19), rung(0.4, 31)])] == [0.2, 0.4]
    shelf = Shelf(table, unbeaten(ladder), "abc", "python -m hgc optimize").with_rung(rung(0.35, 41))
    assert [kept.budget for kept in shelf.rungs] == [0.2, 0.35]
    assert shelf.with_rung(rung(0.5, 38)) == shelf


@pytest.mark.parametrize("path", sorted(service.PLANS.glob("*.json")), ids=lambda path: path.stem)
def test_no_shipped_rung_is_beaten_by_a_cheaper_one(path: Path) -> None:
    """By the scenes of the search; where a table of whole pictures has two rungs, by these."""
    kept = json.loads(path.read_text())
    control, sampler = kept["subject"]["control"], kept["subject"]["sampler"]
    table = FIGURES / f"ladder-{control}.json"
    points = json.loads(table.read_text())["points"] if table.exists() else []
    pictures = {p["budget"]: p["psnr"] for p in points if (p["sampler"], p["method"]) == (sampler, "optimised")}
    assert len(kept["rungs"]) > 5
    for cheap, dear in combinations(sorted(kept["rungs"], key=lambda rung: rung["share"]), 2):
        budgets = cheap["budget"], dear["budget"]
        less, more = (
            [pictures[b] for b in budgets]
            if pictures.keys() >= {*budgets}
            else [rung["fidelity_db"] for rung in (cheap, dear)]
        )
        assert less < more, budgets


def test_runs_made_ahead_of_the_search_change_nothing_that_it_finds(
    predictor: Predictor, trials: InTurn, tmp_path: Path
) -> None:
    """Three at once and in another order: the same plan after as many courses, and no run made twice."""

    class Backwards:
        count, at_once = trials.count, 3

        def __init__(self) -> None:
            self.batches: list[list[str]] = []

        def tried(self, plans: Mapping[str, Plan]) -> Iterator[tuple[str, Fidelity]]:
            self.batches.append(list(plans))
            yield from trials.tried(dict(reversed(plans.items())))

        def measured(self, runs: Sequence[str]) -> Iterator[tuple[str, Any]]:
            yield from trials.measured(runs[::-1])

    ahead = Backwards()
    rung = SearchSession(Runs(trials, predictor, tmp_path / "alone.jsonl", "key"), tries=9).rung(0.6)
    assert SearchSession(Runs(ahead, predictor, tmp_path / "ahead.jsonl", "key"), tries=9).rung(0.6) == rung
    names = [name for batch in ahead.batches for name in batch]
    assert len(names) == len(set(names)) >= 9
    assert max(map(len, ahead.batches)) == 3
    tables = [
        measure(each, predictor.anatomy, SUBJECT, tmp_path / f"{i}.npz", lambda *_: None)
        for i, each in enumerate((trials, ahead))
    ]
    assert tables[0].attention == tables[1].attention
    assert list(tables[0].gains) == list(tables[1].gains)


def test_what_is_predicted_orders_what_happens(predictor: Predictor, trials: InTurn, tmp_path: Path) -> None:
    runs = Runs(trials, predictor, tmp_path / "runs.jsonl", "key")
    courses = [
        Course("FFFFF.", "222222"),
        Course("FFF.F.", "222222"),
        Course("F.F.F.", "222222"),
        Course("F.....", "222222"),
    ]
    errors = [predictor.error(course) for course in courses]
    assert errors == sorted(errors)
    real = [runs.of(course).mean_db for course in courses]
    assert real == sorted(real, reverse=True)
    assert runs.of(Course.full(STEPS)).mean_db > 100


def test_kept_plans_are_written_and_read_whole(table: ErrorTable, tmp_path: Path) -> None:
    rung = Rung(0.5, Course("FF1F.1", "222222"), 0.49, 40.0, 0.5, 30.0, 7)
    shelf = Shelf(table, (), "abc", "python -m hgc optimize", drawings=1).with_rung(rung)
    path = tmp_path / "plans" / "tiny.json"
    shelf.write(path)
    read = Shelf.read(path)
    assert (read.table.scenes, read.table.drawings, read.drawings) == (2, 0, 1)
    assert json.loads(path.read_text())["drawings"] == 1
    assert read.rungs == (rung,)
    assert read.with_rung(rung).rungs == (rung,)
    past = (0, 1)
    assert read.table.weights(PREDICTION, 3, past, 1e-4) == table.weights(PREDICTION, 3, past, 1e-4)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(CalibrationRefused, match="make them again"):
        Shelf.read(path)
    shelf.write(path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"subject": data["subject"] | {"sampler": "unipc"}}))
    with pytest.raises(CalibrationRefused, match="the table beside them"):
        Shelf.read(path)
    np.savez(path.with_suffix(".npz"), header=np.array("{}"))
    with pytest.raises(CalibrationRefused, match=r"tiny\.npz"):
        Shelf.read(path)


@pytest.mark.parametrize("steps", [3, 6, 9])
def test_a_table_is_carried_over_by_noise_level(anatomy: Anatomy, table: ErrorTable, steps: int) -> None:
    other = carried(table, steps)
    assert other.subject.steps == steps
    if steps == 3:  # every second noise level was measured
        np.testing.assert_allclose(other.products[UNGUIDED], table.products[UNGUIDED][::2, ::2])
    wanted = Course("FF1F.1", "222222")
    course = fitted(stretched(wanted, steps), Predictor(anatomy, other), 0.6)
    rehearse(plan_of(course, anatomy, other), anatomy)
    assert all(np.linalg.eigvalsh(products).min() > -1e-6 * np.trace(products) for products in other.products.values())


def test_a_control_that_sets_in_late_is_computed_there(anatomy: Anatomy, table: ErrorTable) -> None:
    off = [{"controlnet"}, {"controlnet"}, set(), set(), set(), {"controlnet"}]
    plan = plan_of(Course("F1F1UF", "222222"), anatomy, table, uncontrolled={0, 1, 5})
    played = rehearse(plan, anatomy, off=off)
    assert played.macs.paper < plan_macs(exact(anatomy, STEPS), anatomy, off=off).paper


def test_two_controls_have_rows_of_their_own() -> None:
    networks = Networks.of(control_pipeline(2))
    both = count(networks, (16, 16), 16, model="tiny")
    kept = {row.site.partition(".controlnet_")[0] for row in rows(Course("FFU", "222"), both)}
    assert kept == {"controlnet.nets.0", "controlnet.nets.1"}


@pytest.fixture
def kept(table: ErrorTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of kept plans for the tiny model in place of the app's."""
    rungs = (
        Rung(0.4, Course("FF1.1.", "222222"), 0.4, 20.0, 0.5, 15.0, 9),
        Rung(0.7, Course("FF1FF.", "222222"), 0.7, 30.0, 0.5, 25.0, 9),
    )
    Shelf(table, rungs, "abc", "python -m hgc optimize").write(tmp_path / "tiny.json")
    monkeypatch.setattr(service, "PLANS", tmp_path)
    return tmp_path


def task(anatomy: Anatomy, **fields: Any) -> Task:
    settings = {
        "model": "tiny",
        "steps": STEPS,
        "guidance": 4.0,
        "method": "optimised",
        "budget": 0.5,
    }
    blueprint = Blueprint(anatomy.model, lambda _: anatomy, ("segmentation", "edges"), lambda control: "0" * 12)
    return Task(Recipe.parse(settings | fields), blueprint)


@pytest.mark.parametrize("share", [0.38, 0.55, 0.85, 1.0])
@pytest.mark.parametrize(
    "fields",
    [{}, {"steps": 9}, {"guidance": 1.0}, {"sampler": "unipc"}, {"control": "edges"}, {"control_start": 0.4}],
    ids=lambda fields: " ".join(fields) or "as kept",
)
@pytest.mark.usefixtures("kept")
def test_any_budget_gets_a_plan_that_runs_and_costs_no_more(
    anatomy: Anatomy, share: float, fields: dict[str, Any]
) -> None:
    asked = task(anatomy, **fields)
    plan = service.optimised(asked, share)
    assert asked.share(plan) <= share + 1e-9
    assert plan.steps == asked.steps
    rehearse(plan, anatomy, guidance=asked.guided, off=asked.off)


@pytest.mark.usefixtures("kept")
def test_kept_courses_are_what_runs_at_their_budget(anatomy: Anatomy, table: ErrorTable) -> None:
    asked = task(anatomy)
    share = asked.share(plan_of(Course("FF1.1.", "222222"), anatomy, table))
    plan = service.optimised(asked, share)
    assert plan.table[PREDICTION] == "CCCFCF"
    assert plan.name == "optimised"


@pytest.mark.usefixtures("kept")
def test_a_verified_request_gets_the_same_table_and_weights_to_measure_by(anatomy: Anatomy) -> None:
    plain, verified = (service.optimised(task(anatomy, verify=verify), 0.5) for verify in (None, 0.1))
    assert verified.table == plain.table
    measured = {entry.at for entry in verified.forecasts[PREDICTION].weighings or ()}
    kept = {entry.at for entry in plain.forecasts[PREDICTION].weighings or ()}
    assert {step for step in measured - kept if plain.table[PREDICTION][step] == "C"} == measured - kept != set()


@pytest.mark.usefixtures("kept")
def test_plans_carried_over_say_so(anatomy: Anatomy) -> None:
    assert service.optimised(task(anatomy, steps=9), 0.5).name == (
        "optimised, carried over from 6 steps, not measured here"
    )
    assert service.optimised(task(anatomy, sampler="euler"), 0.5).name.startswith("optimised, carried over from ddim")
    plan = service.optimised(task(anatomy, steps=9), 0.5)
    assert plan.origin.notes() == ("The plan was carried over from 6 steps, not measured here.",)
    assert service.optimised(task(anatomy), 0.5).origin.notes() == ()
    other = replace(anatomy, model="another")
    plan = service.optimised(task(other, model="another"), 0.5)
    assert plan.name.startswith("optimised, carried over from tiny")
    assert plan.forecasts == {}
    rehearse(plan, other)


@pytest.mark.usefixtures("kept")
def test_a_share_below_the_first_step_is_refused_with_the_nearest(anatomy: Anatomy) -> None:
    least = plan_of(Course("F.....", "222222"), anatomy, None)
    for asked in (task(anatomy), task(anatomy, control_start=0.4)):
        with pytest.raises(OutOfReach, match="budget 5%") as refusal:
            service.optimised(asked, 0.05)
        assert refusal.value.nearest >= asked.share(least)


def test_without_kept_plans_the_method_says_how_to_make_them(
    anatomy: Anatomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PLANS", tmp_path / "none")
    with pytest.raises(PlanRefused, match="python -m hgc optimize"):
        service.optimised(task(anatomy), 0.5)


@pytest.mark.usefixtures("kept")
def test_a_plan_for_any_budget_executes_what_it_counts(pipe: Any, anatomy: Anatomy) -> None:
    plan = service.optimised(task(anatomy), 0.47)
    with cached(pipe, plan) as run:
        pipe(**call(pipe), num_inference_steps=STEPS, output_type="latent")
    assert run.trace.macs.paper == 2 * plan_macs(plan, anatomy).paper
    assert not run.trace.nothing_reused
