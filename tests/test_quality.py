"""A target of quality becomes the cheapest measured budget, with how surely it is reached; out of reach is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hgc import planning
from hgc.__main__ import app
from hgc.cache.plan import PlanRefused
from hgc.metrics import pooled_miou
from hgc.planning import quality
from hgc.planning.measured import FIGURES, MeasuredBudget, MeasuredPicture, measured
from hgc.planning.quality import TargetOutOfReach
from hgc.request import Recipe, RequestRefused
from hgc.studio.studio import Studio
from hgc.target import Target

Drawn = Callable[..., None]


def recipe(at_least: str | None = "45 dB", **fields: Any) -> Recipe:
    return Recipe.parse({"method": "optimised", "at_least": at_least} | fields)


def shown(psnr: float, score: float = 0.8, shared: int = 80) -> MeasuredPicture:
    return MeasuredPicture(psnr, score, 0.8, {"sky": (shared, 100)}, {"sky": (80, 100)})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Takes the place of the shipped tables: pictures of `optimised` and others by budget."""

    def give(method: str = "optimised", **budgets: list[MeasuredPicture]) -> None:
        points = tuple(
            MeasuredBudget(method, "ddim", int(name[1:]) / 100, int(name[1:]) / 100 - 0.001, tuple(pictures))
            for name, pictures in budgets.items()
        )
        monkeypatch.setattr(
            quality, "measured", lambda m, control, sampler: points if (m, sampler) == (method, "ddim") else ()
        )

    return give


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("45dB", Target("psnr", 45)),
        (" 45.5 DB ", Target("psnr", 45.5)),
        ("99%", Target("control", 0.99)),
        ("99.5 %", Target("control", 0.995)),
    ],
)
def test_a_target_is_read_as_people_write_it(text: str, target: Target) -> None:
    assert Target.parse(text) == target
    assert Target.parse(str(target)) == target


@pytest.mark.parametrize(
    "text", ["", "45", "dB", "5 dB", "91 dB", "0%", "101%", "-3 dB", "4٥ dB", "9" * 50 + "dB", "nan dB"]
)
def test_what_is_no_target_is_refused_by_name(text: str) -> None:
    with pytest.raises(RequestRefused, match="at_least: "):
        recipe(text)


def test_the_cheapest_budget_that_nine_in_ten_pictures_reach_is_taken(studio: Studio, drawn: Drawn) -> None:
    drawn(
        b20=[shown(44), *[shown(46)] * 8, shown(44)],
        b30=[shown(44), *[shown(47)] * 9],
        b50=[shown(60)] * 10,
    )
    found = studio.solution(recipe())
    assert (found.budget, found.share, found.confidence, found.pictures) == (0.3, pytest.approx(0.299), 0.9, 10)
    assert found.mean == pytest.approx((44 + 9 * 47) / 10)
    assert "30% of full compute. 9 of 10 measured pictures reach it; the mean is 46.7 dB." in found.sentence
    assert studio.solution(recipe("47 dB")).budget == 0.3
    assert studio.solution(recipe("47.1 dB")).budget == 0.5
    assert planning.with_budget(recipe(), studio.blueprint).budget == 0.3


def test_a_target_that_only_exact_savings_reach_is_said(studio: Studio, drawn: Drawn) -> None:
    drawn(b50=[shown(50)] * 10)
    found = studio.solution(recipe("80 dB"))
    assert (found.budget, found.pictures, found.confidence) == (1.0, 0, 1.0)
    assert "only what changes no bit is saved" in found.sentence
    assert studio.plan(recipe("80 dB")).digest == studio.plan(Recipe.parse({"method": "optimised", "budget": 1})).digest


def test_out_of_reach_names_the_nearest_and_its_cost(studio: Studio, drawn: Drawn) -> None:
    drawn("deepcache", b20=[shown(30)] * 10, b50=[*[shown(41)] * 9, shown(39.5)])
    with pytest.raises(TargetOutOfReach, match=r"45 dB.*41 dB at 50%") as refused:
        studio.solution(recipe(method="deepcache"))
    assert refused.value.nearest == 0.5
    assert studio.solution(recipe("41 dB", method="deepcache")).budget == 0.5


def test_the_control_score_is_that_of_all_pixels_and_surer_with_more_pictures(studio: Studio, drawn: Drawn) -> None:
    """One picture in ten loses a tenth: a hundredth of all. Whether that is within 1% is as likely as not."""
    pictures = [shown(40, shared=72), *[shown(40)] * 9]
    drawn(b20=pictures, b50=[shown(40)] * 10)
    assert studio.solution(recipe("99%")).budget == 0.5
    found = studio.solution(recipe("97%"))
    own, whole = (
        pooled_miou(side) for side in zip(*[(one.overlaps, one.full_overlaps) for one in pictures], strict=True)
    )
    assert (found.budget, found.mean) == (0.2, pytest.approx(own / whole))
    assert 0.9 <= found.confidence < 1
    draws = quality.values_of(Target("control", 0.97), pictures)
    error = 0.1 * np.sqrt(0.1 * 0.9 / 10)  # of a mean of ten, one of which is a tenth less
    assert draws.std() == pytest.approx(error, rel=0.1)


def test_edges_are_scored_by_the_mean_f1(studio: Studio, drawn: Drawn) -> None:
    drawn(b20=[MeasuredPicture(40, 0.79, 0.8, {}, {})] * 10, b50=[MeasuredPicture(40, 0.8, 0.8, {}, {})] * 10)
    assert studio.solution(recipe("98%", control="edges")).budget == 0.2
    assert studio.solution(recipe("99%", control="edges")).budget == 0.5


def test_settings_that_were_not_measured_are_said(studio: Studio) -> None:
    assert not studio.solution(recipe()).carried_over
    told = studio.solution(recipe(steps=30, guidance=4, sampler="euler", control_scale=0.5)).sentence
    assert "carried over from ddim, 20 steps, guidance 2, control at full strength in all steps, not measured" in told
    assert studio.solution(recipe(sampler="unipc")).carried_over == {}
    assert studio.solution(recipe(sampler="unipc")).pictures == 8


def test_what_nobody_measured_is_refused(studio: Studio, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(b50=[shown(50)] * 8)
    with pytest.raises(PlanRefused, match=r"Spectrum.*optimised"):
        studio.solution(recipe(method="spectrum"))
    monkeypatch.setattr(quality.optimised, "measured_on", lambda model, weights: None)
    with pytest.raises(PlanRefused, match="landscapes with these weights"):
        studio.solution(recipe())


@pytest.mark.parametrize("control", ["segmentation", "edges"])
def test_the_shipped_tables_answer(studio: Studio, control: str) -> None:
    """Each budget counts once, by the table of most pictures, and a higher target costs no less."""
    points = measured("optimised", control, "ddim")
    assert [point.budget for point in points] == sorted({point.budget for point in points})
    (table,) = [
        p
        for p in json.loads((FIGURES / f"optimised-{control}-ddim.json").read_text())["points"]
        if (p["method"], p["budget"]) == ("optimised", 0.2)
    ]
    (point,) = [point for point in points if point.budget == 0.2]
    assert fmean(one.psnr for one in point.pictures) == pytest.approx(table["psnr"])
    budgets = [studio.solution(recipe(f"{db} dB", control=control)).budget for db in (30, 40, 45, 48, 53)]
    assert budgets == sorted(budgets)
    assert budgets[0] < budgets[-1] < 1
    assert studio.solution(recipe("99%", control=control)).budget <= 0.2


def test_a_target_in_a_request_is_planned_and_gives_the_same_as_its_budget(studio: Studio) -> None:
    budget = studio.solution(recipe()).budget
    plan = studio.plan(recipe())
    assert plan.digest == studio.plan(recipe(None, budget=budget)).digest
    assert recipe().picture_digest == recipe(None, budget=budget).picture_digest
    assert studio.settings(recipe(method="hgc")) == studio.settings(
        recipe(None, method="hgc", budget=studio.solution(recipe(method="hgc")).budget)
    )


@pytest.mark.usefixtures("loaded")
def test_the_shell_takes_a_target_or_a_budget(tmp_path: Path) -> None:
    command = ["compare", "--image", "assets/examples/lake.png", "--steps", "4", "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, [*command, "--at-least", "45dB", "--budget", "0.5"])
    assert refused.exit_code == 2
    assert "give one of them" in refused.output
    made = CliRunner().invoke(app, [*command, "--at-least", "45dB"])
    assert made.exit_code == 0, made.output
    assert "At least 45 dB: Optimised at " in made.output
    request = json.loads((tmp_path / "out" / "request.json").read_text())
    assert (request["at_least"], request["budget"]) == (
        "45 dB",
        studio_budget(measured("optimised", "segmentation", "ddim")),
    )


def studio_budget(points: tuple[MeasuredBudget, ...]) -> float:
    """The first budget of which nine in ten pictures have 45 dB, counted anew."""
    return next(p.budget for p in points if sum(one.psnr >= 45 for one in p.pictures) >= 0.9 * len(p.pictures))


def test_tables_of_one_budget_give_way_to_the_one_of_most_pictures() -> None:
    counts = {}
    for table in ("methods", "optimised"):
        points = json.loads((FIGURES / f"{table}-segmentation-ddim.json").read_text())["points"]
        counts[table] = len(next(p for p in points if p["method"] == "optimised")["each"])
    assert counts["methods"] != counts["optimised"]
    (point,) = [p for p in measured("optimised", "segmentation", "ddim") if p.budget == 0.5]
    assert len(point.pictures) == max(counts.values())
