"""HGC by measured similarity: key steps in equal parts, the steps between against trying all, budgets, what is told."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest
import tiny
import torch

from hgc import planning
from hgc.cache import schedules
from hgc.cache.anatomy import UNGUIDED, Anatomy, Kind, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.bases import weights
from hgc.cache.plan import PlanRefused
from hgc.cache.rehearsal import plan_macs, rehearse
from hgc.cache.rules import LINE, REPEAT, ForecastRule
from hgc.cache.schedules import HGC
from hgc.cache.schedules.between import EVERYTHING, Between, costs_of
from hgc.cache.schedules.hgc_measured import legs_of
from hgc.calibration.subject import Subject
from hgc.optimise.alike import Alike
from hgc.optimise.course import Course
from hgc.optimise.predict import OUTPUT, ErrorTable
from hgc.optimise.shelf import Rung, Shelf
from hgc.planning import Blueprint, Task, optimised
from hgc.planning.methods import METHODS, BelowLeast
from hgc.request import Recipe

STEPS = 8
WEIGHTS = "0" * 12


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    with torch.device("meta"):
        networks = Networks(tiny.unet(), {"controlnet": tiny.controlnet()})
    return measure(networks, (16, 16), 16, model="tiny")


def test_change_between_key_steps_adds_up_to_equal_parts() -> None:
    assert schedules.key_steps_by([0.0, *[1.0] * 9], 5) == (0, 2, 4, 6, 8)
    assert schedules.key_steps_by([0.0, 1, 1, 1, 9, 9, 1, 1], 3) == (0, 4, 5)
    assert schedules.key_steps_by([0.0] * 6, 3) == (0, 1, 2)
    for count in range(1, 8):
        keys = schedules.key_steps_by([0.0, 0, 5, 0, 0, 5, 0, 0], count)
        assert len(set(keys)) == count
        assert list(keys) == sorted(keys)
    with pytest.raises(PlanRefused, match="9 key steps of 8"):
        schedules.key_steps_by([0.0] * 8, 9)


@pytest.mark.parametrize("price", [1e-3, 0.01, 0.05, 0.3])
def test_between_key_steps_nothing_tried_is_better(
    anatomy: Anatomy, price: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where errors are not passed on, which is what dynamic programming solves exactly."""
    monkeypatch.setattr("hgc.cache.schedules.between.PRICES", (price,))
    alike, keys = made_up.Alike(STEPS, (0, 1, 2), passed=0.0), (0, 3)
    costs = costs_of(anatomy, alike.layers, guidance=True)
    (leg,) = Between(alike, keys, REPEAT, costs, STEPS).legs()
    assert costs.of(leg.layers, STEPS) == pytest.approx(leg.cost)
    best = inf
    for counts in product(alike.layers, repeat=STEPS - len(keys)):
        left, layers, error = list(counts), [], 0.0
        for step in range(STEPS):
            layers.append(EVERYTHING if step in keys else left.pop(0))
            predicted = tuple(i for i, count in enumerate(layers[:-1]) if count != 0)
            if layers[-1] == 0:
                error += alike.growth(step) * (
                    alike.skipped(step, predicted, REPEAT)[0] if step - predicted[-1] <= 3 else inf
                )
            elif layers[-1] is not EVERYTHING:
                past = tuple(key for key in keys if key < step)
                error += alike.growth(step) * alike.kept(layers[-1], step, past, REPEAT)
        best = min(best, error + price * costs.of(tuple(layers), STEPS))
    assert leg.error + price * leg.cost == pytest.approx(best)


@pytest.mark.parametrize("guidance", [True, False])
@pytest.mark.parametrize("gate_step", [STEPS, 5])
def test_a_leg_costs_what_its_plan_does(anatomy: Anatomy, guidance: bool, gate_step: int) -> None:
    alike = made_up.Alike(STEPS, (0, 1, 2))
    whole = plan_macs(schedules.full(anatomy, 1), anatomy, guidance=guidance).paper
    for lambda_intra in (0.0, 0.1, 0.3):
        settings = HGC(lambda_inter=0.4, lambda_intra=lambda_intra, gate=gate_step / STEPS)
        plan = schedules.hgc_measured(anatomy, alike, settings, guidance=guidance)
        legs = legs_of(anatomy, alike, 3, gate_step, 1, guidance=guidance)
        spent = plan_macs(plan, anatomy, guidance=guidance).paper / whole
        assert min(abs(leg.cost - spent) for leg in legs) < 1e-6


def test_half_of_all_attention_is_repeated_and_the_harmless_half(anatomy: Anatomy) -> None:
    cross = tuple(site.name for site in anatomy.of(Kind.CROSS_ATTENTION))
    alike = made_up.Alike(STEPS, cross=cross)
    for every in (1, 2, 3):
        plan = schedules.hgc_measured(anatomy, alike, HGC(coarse=False, gate=1.0, attention_every=every))
        played = rehearse(plan, anatomy).steps
        computed = {name: sum(row[name] is State.COMPUTED for row in played) for name in cross}
        assert sum(computed.values()) * every <= STEPS * len(cross) < (sum(computed.values()) + STEPS) * every
        assert [computed[name] for name in cross] == sorted(computed.values())


@pytest.mark.parametrize("share", [0.3, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("guidance", [True, False])
def test_a_budget_is_kept_and_used(anatomy: Anatomy, share: float, guidance: bool) -> None:
    alike = made_up.Alike(STEPS, (0, 1, 2))
    settings = schedules.least_error_within(anatomy, alike, share, HGC(attention_every=2), guidance=guidance)
    plan = schedules.hgc_measured(anatomy, alike, settings, guidance=guidance)
    whole = plan_macs(schedules.full(anatomy, STEPS), anatomy, guidance=guidance).paper
    assert share - 0.12 < plan_macs(plan, anatomy, guidance=guidance).paper / whole <= share + 1e-9


def test_a_budget_below_the_first_step_names_the_nearest(anatomy: Anatomy) -> None:
    with pytest.raises(schedules.OutOfReach, match="budget 5%") as refusal:
        schedules.least_error_within(anatomy, made_up.Alike(STEPS), 0.05, HGC())
    assert 0.1 < refusal.value.nearest < 0.3


@pytest.mark.parametrize(
    "settings",
    [{"lambda_inter": 1.5}, {"lambda_intra": -0.1}, {"gate": 1.1}, {"order": 3}, {"attention_every": 0}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(PlanRefused, match=next(iter(settings))):
        HGC(**settings)


@pytest.fixture(scope="module")
def features(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Values [steps, numbers] of every measured site, drifting at random."""
    draw = np.random.default_rng(3)
    sites = [schedules.cut_site(anatomy, 1), *schedules.kept_residuals(anatomy, 3)]
    sites += [*(site.name for site in anatomy.of(Kind.CROSS_ATTENTION)), UNGUIDED, "unet", OUTPUT]
    return {site: np.cumsum(draw.normal(size=(STEPS, 5)), 0) + 4 for site in dict.fromkeys(sites)}


@pytest.fixture(scope="module")
def table(anatomy: Anatomy, features: dict[str, np.ndarray]) -> ErrorTable:
    products = {site: rows @ rows.T / rows.shape[1] for site, rows in features.items()}
    cross = {site.name: 0.5 for site in anatomy.of(Kind.CROSS_ATTENTION)}
    subject = Subject("tiny", "segmentation", "ddim", STEPS, 4.0)
    return ErrorTable(subject, 4, products, {"1": np.full(STEPS, 0.2)}, np.linspace(0.1, 0.3, STEPS), cross)


@pytest.mark.parametrize(
    "forecast", [REPEAT, LINE, ForecastRule("taylor", 2)], ids=lambda one: f"{one.basis} {one.order}"
)
def test_errors_are_those_of_forecasts_of_the_features_themselves(
    anatomy: Anatomy, table: ErrorTable, features: dict[str, np.ndarray], forecast: ForecastRule
) -> None:
    alike, step, past = Alike(anatomy, table, 4.0), 6, (0, 2, 5)
    weighed = np.array(weights(forecast, past, step))

    def rms(site: str) -> float:
        rows = features[site]
        return float(np.sqrt(np.mean((weighed @ rows[list(past)[-len(weighed) :]] - rows[step]) ** 2)))

    def relative(site: str) -> float:
        return rms(site) / float(np.sqrt(np.mean(features[site][step] ** 2)))

    sites = [schedules.cut_site(anatomy, 1), *schedules.kept_residuals(anatomy, 1)]
    expected = 0.2 * sum(relative(site) ** 2 for site in sites) ** 0.5
    assert alike.kept(1, step, past, forecast) == pytest.approx(expected)
    assert alike.skipped(step, past, forecast) == (pytest.approx(rms(OUTPUT)), pytest.approx(tuple(weighed)))
    assert alike.unguided(step, past, forecast)[0] == pytest.approx(3 * rms(UNGUIDED))
    cross = anatomy.of(Kind.CROSS_ATTENTION)[0].name
    drift = features[cross][6] - features[cross][3]
    expected = 0.5 * float(np.sqrt(np.mean(drift**2) / np.mean(features[cross][6] ** 2)))
    assert alike.attention(cross, 6, 3) == pytest.approx(expected)
    assert alike.layers == (0, 1)


@pytest.fixture
def measured(table: ErrorTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table where planning looks for it."""
    rung = Rung(0.5, Course("F" * STEPS, "2" * STEPS), 1.0, 20.0, 0.5, 15.0, 9)
    Shelf(table, (rung,), WEIGHTS, "python -m hgc optimize").write(tmp_path / "tiny.json")
    monkeypatch.setattr(optimised, "PLANS", tmp_path)


def blueprint(anatomy: Anatomy, weights_name: str = WEIGHTS) -> Blueprint:
    return Blueprint(anatomy.model, lambda _: anatomy, ("segmentation", "edges"), lambda control: weights_name)


def recipe(**fields: Any) -> Recipe:
    return Recipe.parse({"model": "tiny", "steps": STEPS, "guidance": 4.0, "budget": 0.5} | fields)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, ""),
        ({"steps": 12}, ", carried over from 8 steps, not measured here"),
        ({"guidance": 2.0}, ", carried over from guidance 4, not measured here"),
        ({"sampler": "unipc", "guidance": 1.0}, ", carried over from ddim, guidance 4, not measured here"),
        ({"control_start": 0.4}, ""),
        ({"control_end": 0.6}, ""),
    ],
    ids=lambda value: " ".join(value) or "as measured" if isinstance(value, dict) else "",
)
def test_where_it_was_measured_a_budget_goes_by_similarity_and_its_settings_give_the_same(
    anatomy: Anatomy, fields: dict[str, Any], told: str
) -> None:
    asked, model = recipe(**fields), blueprint(anatomy)
    plan, settings = planning.plan(asked, model), planning.settings(asked, model)
    assert settings.similarity
    assert plan.name == "hgc by measured similarity" + told
    assert Task(asked, model).share(plan) <= 0.5 + 1e-9
    assert planning.plan(planning.by_settings(asked, model), model) == plan


@pytest.mark.usefixtures("measured")
def test_without_measurements_a_budget_goes_by_the_timetable_and_similarity_is_refused(anatomy: Anatomy) -> None:
    for asked, model in ((recipe(control="edges"), blueprint(anatomy)), (recipe(), blueprint(anatomy, "1" * 12))):
        assert planning.plan(asked, model).name == "hgc"
        assert not planning.settings(asked, model).similarity
        by_hand = asked.but(budget=None, cache={"similarity": True})
        with pytest.raises(PlanRefused, match="python -m hgc optimize --model tiny"):
            planning.plan(by_hand, model)


@pytest.mark.usefixtures("measured")
def test_a_budget_out_of_reach_names_the_least(anatomy: Anatomy) -> None:
    with pytest.raises(BelowLeast) as refusal:
        planning.plan(recipe(budget=0.05), blueprint(anatomy))
    least = refusal.value.at_least(recipe(budget=0.05))
    assert planning.plan(least, blueprint(anatomy)).name.startswith("hgc by measured")
    assert METHODS["hgc"].title in str(refusal.value)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    "fields",
    [{"control_end": 0.5}, {"control_start": 0.3}, {"control_end": 0.6, "steps": 12, "guidance": 1.0}],
    ids=str,
)
def test_every_budget_from_the_least_on_is_kept_where_a_control_is_off_for_a_while(
    anatomy: Anatomy, fields: dict[str, Any]
) -> None:
    """There a leg says less of what its plan costs, and no budget may fall into a hole between two of them."""
    model = blueprint(anatomy)
    with pytest.raises(BelowLeast) as refusal:
        planning.plan(recipe(**fields, budget=0.02), model)
    least = refusal.value.nearest
    for budget in (least, *(least + (1 - least) * part / 17 for part in range(1, 17))):
        asked = recipe(**fields, budget=budget)
        assert Task(asked, model).share(planning.plan(asked, model)) <= budget + 1e-9
    with pytest.raises(BelowLeast):
        planning.plan(recipe(**fields, budget=0.98 * least), model)


@pytest.mark.usefixtures("measured")
def test_each_cache_works_alone_by_similarity(anatomy: Anatomy) -> None:
    settings = planning.settings(recipe(), blueprint(anatomy))
    for coarse, fine in ((True, False), (False, True)):
        cache = asdict(replace(settings, coarse=coarse, fine=fine, gate=0.75))
        plan = planning.plan(recipe(budget=None, cache=cache), blueprint(anatomy))
        kinds = {anatomy[name].kind for name in plan.table if not anatomy[name].constant}
        assert (kinds <= {Kind.CROSS_ATTENTION, Kind.BRANCH}) == fine
        assert (Kind.BRANCH in kinds) == fine
        assert replace(plan.origin, knobs={}).carried_over == {}
