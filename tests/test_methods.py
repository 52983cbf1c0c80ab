"""Every method of the choice turns a share of full compute into a plan that keeps it, or says why it cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest
import tiny
import torch
from typer.testing import CliRunner

from hgc import planning
from hgc.__main__ import app
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Kind
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import rehearse
from hgc.cache.rules import CalibrationRefused, PlanRefused
from hgc.cache.schedules import HGC
from hgc.calibration.files import Calibration
from hgc.calibration.lines import Adjustment
from hgc.planning import Blueprint, Task, calibrations
from hgc.planning.methods import METHODS, BelowLeast, arm_titles
from hgc.request import Recipe, RequestRefused

STEPS = 8
WEIGHTS = "0" * 12
RULED = [name for name in METHODS if name != "optimised"]  # those that need no plans kept for the model


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    with torch.device("meta"):
        networks = Networks(tiny.unet(), {"controlnet": tiny.controlnet()})
    return measure(networks, (16, 16), 16, model="tiny")


@pytest.fixture
def calibrated(anatomy: Anatomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A calibration of the tiny model where the methods look for one."""
    monkeypatch.setattr(calibrations, "CALIBRATIONS", tmp_path)
    curves = made_up.curves(anatomy, STEPS)
    sites = [site.name for site in anatomy.of(*schedules.LAYERS)]
    adjustment = Adjustment(
        curves.subject,
        {site: np.ones((STEPS, 3, 4), np.float16) for site in sites},
        {site: np.zeros((STEPS, 3, 4), np.float16) for site in sites},
    )
    path = tmp_path / f"tiny-segmentation-ddim-{STEPS}.json"
    Calibration(replace(curves, adjustment=adjustment.digest, versions={"weights": WEIGHTS}), adjustment).write(path)
    return path


def recipe(**fields: Any) -> Recipe:
    return Recipe.parse({"model": "tiny", "steps": STEPS} | fields)


def blueprint(anatomy: Anatomy) -> Blueprint:
    return Blueprint(anatomy.model, lambda _: anatomy, ("segmentation",), lambda control: WEIGHTS)


def plan_of(anatomy: Anatomy, asked: Recipe) -> Plan:
    return planning.plan(asked, blueprint(anatomy))


SETTINGS: list[dict[str, Any]] = [{}, {"guidance": 1.0}, {"control_start": 0.3, "control_end": 0.9}]


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
@pytest.mark.parametrize("name", RULED)
def test_a_method_keeps_the_budget(anatomy: Anatomy, calibrated: Path, name: str, fields: dict[str, Any]) -> None:
    """What it can do at least is asked of it by asking for too little."""
    if name == "guidance_reuse" and fields.get("guidance") == 1.0:
        pytest.skip("refused without guidance, see below")
    asked = recipe(method=name, budget=0.01, **fields)
    task = Task(asked, blueprint(anatomy))
    with pytest.raises(BelowLeast, match=f"{METHODS[name].title} cannot go down to 1.0% of full") as refused:
        plan_of(anatomy, asked)
    nearest = refused.value.nearest
    assert 0.01 < nearest < 1
    spent = []
    for budget in (nearest, (1 + nearest) / 2):
        plan = plan_of(anatomy, asked.model_copy(update={"budget": budget}))
        spent.append(task.share(plan))
        assert spent[-1] <= budget + 1e-9
        rehearse(plan, anatomy, guidance=task.guided, off=task.off if plan.steps == STEPS else None)
    assert spent[0] < spent[1]


@pytest.mark.parametrize("name", [name for name in RULED if name != "fewer_steps"])
def test_a_whole_budget_leaves_the_exact_savings(anatomy: Anatomy, calibrated: Path, name: str) -> None:
    plan = plan_of(anatomy, recipe(method=name, budget=1.0))
    kept = {anatomy[site].kind for site, row in plan.table.items() if set(row) != {"C"}}
    assert kept <= {Kind.CONDITION, Kind.TEXT_KV}


def test_each_method_spends_a_budget_in_its_own_way(anatomy: Anatomy, calibrated: Path) -> None:
    tables = {name: json.dumps(plan_of(anatomy, recipe(method=name, budget=0.7)).as_dict()) for name in RULED}
    assert len(set(tables.values())) == len(RULED)


def test_deepcache_spends_what_its_interval_leaves_on_more_layers(anatomy: Anatomy) -> None:
    task = Task(recipe(), blueprint(anatomy))
    plan = METHODS["deepcache"].plan(task, 0.6)
    interval, branch = plan.origin.knobs["interval"], plan.origin.knobs["branch"]
    assert isinstance(interval, int)
    assert isinstance(branch, int)
    sparser = schedules.DeepCache(interval=interval, branch=branch - 1).plan(anatomy, STEPS)
    denser = schedules.DeepCache(interval=interval - 1).plan(anatomy, STEPS)
    assert task.share(sparser) < task.share(plan) <= 0.6 < task.share(denser)


@pytest.mark.parametrize("rival", ["fewer_steps", "deepcache", "step_skip"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_rival_costs_what_the_cached_arm_costs(anatomy: Anatomy, rival: str, share: float) -> None:
    """Never more than half a step above it; fewer steps never further away than that."""
    asked = recipe(rival=rival)
    beside = planning.rival_of(asked, share)
    assert beside is not None
    plan = plan_of(anatomy, beside)
    spent = Task(asked, blueprint(anatomy)).share(plan)
    assert spent <= share + 0.5 / STEPS + 1e-9
    if rival == "fewer_steps":
        assert spent > share - 0.5 / STEPS - 1e-9
    assert planning.rival_of(recipe(), share) is None


def test_a_plan_of_ones_own_and_settings_by_hand_come_before_a_method(anatomy: Anatomy) -> None:
    own = schedules.DeepCache().plan(anatomy, STEPS)
    assert plan_of(anatomy, recipe(method="tgate", budget=0.5, plan=own.as_dict())) == own
    settings = HGC(lambda_inter=0.5, order=0)
    by_hand = plan_of(anatomy, recipe(cache=settings))
    assert by_hand.name == "hgc"
    assert plan_of(anatomy, recipe(cache=settings, budget=0.9)) != by_hand


def test_what_cannot_be_planned_is_said_in_a_sentence(anatomy: Anatomy) -> None:
    with pytest.raises(RequestRefused, match=r"'magic'.*optimised, hgc, block_caching"):
        plan_of(anatomy, recipe(method="magic", budget=0.5))
    with pytest.raises(RequestRefused, match="unknown method 'magic'"):
        plan_of(anatomy, recipe(rival="magic"))
    with pytest.raises(PlanRefused, match=r"guidance.* 1"):
        plan_of(anatomy, recipe(method="guidance_reuse", budget=0.7, guidance=1.0))


def test_a_missing_calibration_names_the_command_that_makes_it(anatomy: Anatomy, calibrated: Path) -> None:
    calibrated.unlink()
    asked = f"--steps {STEPS} --guidance {recipe().guidance:g} --out"
    command = f"calibrate --model tiny --control segmentation --sampler ddim {asked}"
    with pytest.raises(CalibrationRefused, match=f"tiny is not calibrated for segmentation.*{command}"):
        plan_of(anatomy, recipe(method="block_caching", budget=0.5))


def test_a_bad_calibration_is_refused_in_a_sentence(anatomy: Anatomy, calibrated: Path) -> None:
    whole, asked = calibrated.read_text(), recipe(method="block_caching", budget=0.7)
    plan_of(anatomy, asked)
    for text, says in (
        (whole[:-200], "cut off or not JSON"),
        (whole.replace('"model": "tiny"', '"model": "sdxl"'), "model is sdxl, this run has tiny"),
        (whole.replace(f'"steps": {STEPS}', '"steps": 9'), f"{STEPS} values, 9 steps"),
        ("[]", "not change curves"),
    ):
        calibrated.write_text(text)
        with pytest.raises(CalibrationRefused, match=says) as refused:
            plan_of(anatomy, asked)
        assert "\n" not in str(refused.value)
    calibrated.write_text(whole)
    calibrated.with_suffix(".npz").write_bytes(b"PK")
    with pytest.raises(CalibrationRefused, match="calibrat"):
        plan_of(anatomy, asked)


def test_arms_are_called_by_what_makes_them() -> None:
    assert arm_titles(recipe()) == {"full": "Full", "cached": "HGC"}
    two = recipe(method="deepcache", budget=0.5, rival="tgate")
    assert arm_titles(two) == {"full": "Full", "cached": "DeepCache", "rival": "T-GATE"}
    for nothing in (recipe(cache=HGC(coarse=False, fine=False)), recipe(budget=1.0)):
        assert arm_titles(nothing)["cached"] == "Exact savings"


def test_the_shell_lists_the_methods_with_their_reasons() -> None:
    told = CliRunner().invoke(app, ["methods"])
    assert told.exit_code == 0
    for method in METHODS.values():
        assert method.name in told.stdout
        assert method.reason in told.stdout
    assert [row["name"] for row in json.loads(CliRunner().invoke(app, ["methods", "--json"]).stdout)] == list(METHODS)
