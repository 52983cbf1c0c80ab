"""Which calibration a run goes by: that of its setting and weights, or of another guidance, said; else a command."""

from __future__ import annotations

import os
import shlex
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest
import tiny
import torch
from test_request import png
from typer.testing import CliRunner

from hgc import planning
from hgc.__main__ import app
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import REPEAT, CalibrationRefused
from hgc.calibration.curves import Distilled, table_name
from hgc.calibration.files import Calibration
from hgc.calibration.lines import Adjustment
from hgc.calibration.subject import Subject
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.models.presets import ASSETS
from hgc.planning import Blueprint, calibrations
from hgc.planning.calibrations import NotCalibrated, fitting, own_path, used_by
from hgc.request import Request
from hgc.results.comparison import Cancelled, Comparison
from hgc.studio.arm_cache import ArmCache
from hgc.studio.calibrating import ScenesMeasured, state_beside
from hgc.studio.studio import Studio

STEPS = 8
OURS, OTHERS = "0" * 12, "f" * 12
SUBJECT = Subject("tiny", "segmentation", "ddim", STEPS, 2.0)
SHIPPED = "shipped/tiny-segmentation-ddim-8.json"
OWN = "runs/calibration/tiny-segmentation-ddim-8-2-page.json"
Keep = Callable[..., Calibration]


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    with torch.device("meta"):
        networks = Networks(tiny.unet(), {"controlnet": tiny.controlnet()})
    return measure(networks, (16, 16), 16, model="tiny")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which nobody has calibrated anything."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def keep(anatomy: Anatomy, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Puts a calibration of the tiny model into the shipped folder or into that of those made here."""
    monkeypatch.setattr(calibrations, "CALIBRATIONS", folder / "shipped")
    sites = [site.name for site in anatomy.of(*schedules.LAYERS)]

    def write(
        place: str,
        subject: Subject = SUBJECT,
        weights: str = OURS,
        scale: float = 1.0,
        distilled: Distilled | None = None,
        age_s: float = 0.0,
    ) -> Calibration:
        scales = {site: np.full((STEPS, 3, 4), scale, np.float16) for site in sites}
        lines = Adjustment(subject, scales, {site: 0 * numbers for site, numbers in scales.items()})
        curves = replace(
            made_up.curves(anatomy, STEPS),
            subject=subject,
            adjustment=lines.digest,
            versions={"weights": weights},
            distilled_for=distilled,
        )
        made, path = Calibration(curves, lines), Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write(path)
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age_s))
        return made

    return write


def request(**fields: Any) -> Request:
    return Request.make(png(), **{"model": "tiny", "steps": STEPS, "method": "block_caching", "budget": 0.7} | fields)


def planned(anatomy: Anatomy, weights: str = OURS, **fields: Any) -> Plan:
    return planning.plan(
        request(**fields),
        Blueprint(anatomy.model, lambda _: anatomy, ("segmentation", "edges"), lambda control: weights),
    )


def test_one_that_was_made_here_comes_before_the_shipped_one_and_a_new_one_before_an_old(
    anatomy: Anatomy, keep: Keep
) -> None:
    shipped, old = keep(SHIPPED), keep(OWN, scale=0.5, age_s=60)
    assert planned(anatomy).fitted == {old.adjustment.digest} != {shipped.adjustment.digest}
    new = keep(OWN.replace("page", "shell"), scale=0.25)
    plan = planned(anatomy)
    assert plan.fitted == {new.adjustment.digest}
    assert plan.name.startswith("block caching δ=")
    assert plan.origin.notes() == ()


def test_a_shipped_one_of_another_guidance_does_not_hide_that_of_the_runs(anatomy: Anatomy, keep: Keep) -> None:
    keep(SHIPPED)
    own = keep(OWN.replace("-2-", "-4-"), replace(SUBJECT, guidance=4.0), scale=0.5)
    plan = planned(anatomy, guidance=4.0)
    assert plan.fitted == {own.adjustment.digest}
    assert plan.origin.notes() == ()


def test_one_of_other_weights_is_passed_over(anatomy: Anatomy, keep: Keep) -> None:
    """After training, before and after somebody calibrates again."""
    shipped, stale = keep(SHIPPED), keep(OWN, weights=OTHERS, scale=0.5)
    assert planned(anatomy).fitted == {shipped.adjustment.digest}
    assert planned(anatomy, weights=OTHERS).fitted == {stale.adjustment.digest}
    with pytest.raises(NotCalibrated, match=f"{OTHERS}.* 777; calibrate") as e:
        planned(anatomy, weights="777", guidance=3.0)
    assert str(e.value).endswith(f"--guidance 3 --out runs/calibration/{SUBJECT.name}-3.json")
    assert planned(anatomy).fitted == {shipped.adjustment.digest}, "the weights of a block are not those after it"


def test_another_guidance_is_carried_over_from_the_nearest_and_said(anatomy: Anatomy, keep: Keep) -> None:
    two = keep(SHIPPED)
    six = keep(OWN.replace("-2-", "-6-"), replace(SUBJECT, guidance=6.0), scale=0.5)
    for guidance, nearest, words in ((3.5, two, "guidance 2"), (4.5, six, "guidance 6"), (1.0, two, "guidance 2")):
        plan = planned(anatomy, guidance=guidance)
        assert plan.fitted == {nearest.adjustment.digest}
        assert plan.name.endswith(f", carried over from {words}, not measured here")
        assert plan.origin.notes() == (f"The plan was carried over from {words}, not measured here.",)
        assert used_by(plan, request(guidance=guidance), OURS).curves == nearest.curves


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"control": "edges"}, "for edges, ddim and 8 steps"),
        ({"sampler": "euler"}, "for segmentation, euler and 8 steps"),
        ({"steps": 9}, "for segmentation, ddim and 9 steps"),
    ],
)
@pytest.mark.parametrize("place", [SHIPPED, OWN])
def test_of_anything_else_it_is_refused_with_what_there_is(
    anatomy: Anatomy, keep: Keep, place: str, change: dict[str, Any], asked: str
) -> None:
    keep(place)
    with pytest.raises(NotCalibrated) as refused:
        planned(anatomy, **change)
    wanted = replace(SUBJECT, **change)
    assert str(refused.value) == (
        f"tiny is not calibrated {asked} (there is {Path(place).stem}); make it with: python -m hgc calibrate "
        f"--model tiny --control {wanted.control} --sampler {wanted.sampler} --steps {wanted.steps} --guidance 2 "
        f"--out runs/calibration/{wanted.name}-2.json"
    )


@pytest.mark.parametrize("change", [{"control": "edges"}, {"sampler": "euler"}, {"model": "sdxl"}])
def test_what_a_file_says_counts_and_not_what_it_is_called(
    anatomy: Anatomy, keep: Keep, change: dict[str, Any]
) -> None:
    keep(OWN, replace(SUBJECT, **change))
    ((name, other),) = change.items()
    with pytest.raises(NotCalibrated, match=f"{name} is {other}, this run has {getattr(SUBJECT, name)}; calibrate"):
        planned(anatomy)


def test_a_run_goes_on_with_the_calibration_that_its_plan_was_made_from(anatomy: Anatomy, keep: Keep) -> None:
    """Though another was made since, or its guidance was moved; not though that one is gone."""
    keep(SHIPPED)
    plan = planned(anatomy)
    keep(OWN, scale=0.5)
    asked = request(guidance=5.0)
    assert fitting(asked, OURS)[0].path == Path(OWN)
    assert used_by(plan, asked, OURS).curves.adjustment in plan.fitted
    assert used_by(schedules.full(anatomy, STEPS), asked, OURS).path == Path(OWN)
    Path(SHIPPED).unlink()
    with pytest.raises(NotCalibrated, match=min(plan.fitted)):
        used_by(plan, asked, OURS)


def test_what_was_distilled_for_a_plan_is_not_taken_for_another(anatomy: Anatomy, keep: Keep) -> None:
    """At other budgets another calibration is; without one it is refused in a sentence."""
    shipped = keep(SHIPPED)
    closed_form = planned(anatomy)
    told = Distilled(0.7, closed_form.origin.knobs["delta"], 1.0, 1.0, table_name(closed_form.table))
    distilled = keep(OWN, scale=0.5, distilled=told)
    assert Calibration.read(Path(OWN)).curves.distilled_for == told
    assert planned(anatomy).fitted == {distilled.adjustment.digest}
    other = planned(anatomy, budget=0.6)
    assert other.fitted == {shipped.adjustment.digest}
    assert planned(anatomy, budget=1.0).fitted == frozenset(), "nothing kept, nothing scaled"
    keep(OWN, scale=0.5, distilled=replace(told, share=0.65))
    assert planned(anatomy).fitted == {distilled.adjustment.digest}, "a little above its share"
    closed = keep(OWN, scale=0.5, distilled=replace(told, share=0.65, fitted=False))
    assert Calibration.read(Path(OWN)).curves.distilled_for == replace(told, share=0.65, fitted=False)
    assert planned(anatomy).fitted == {shipped.adjustment.digest}, "one that is no better is taken for its share alone"
    assert closed.curves.adjustment == distilled.curves.adjustment
    distilled = keep(OWN, scale=0.5, distilled=told)
    edited = replace(planned(anatomy), table=other.table)
    with pytest.raises(CalibrationRefused, match=r"Block Caching at 70\.0%"):
        used_by(edited, request(), OURS)
    Path(SHIPPED).unlink()
    with pytest.raises(CalibrationRefused, match=r"is 60.*: python -m"):
        planned(anatomy, budget=0.6)


@pytest.mark.usefixtures("loaded")
def test_the_command_of_a_refusal_makes_what_is_found_then(studio: Studio) -> None:
    asked = painted(studio, steps=3, guidance=2.5)
    with pytest.raises(NotCalibrated, match=r"landscapes.*segmentation, ddim and 3 steps") as refused:
        studio.plan(asked)
    command = str(refused.value).partition("python -m hgc ")[2]
    made = CliRunner().invoke(app, [*shlex.split(command), "--scenes", "1"])
    assert made.exit_code == 0, made.output
    plan = studio.plan(asked)
    assert plan.fitted == {fitting(asked, studio.weights_under(asked.control))[0].curves.adjustment}
    assert plan.origin.notes() == ()


def painted(studio: Studio, **fields: Any) -> Request:
    scene = paint(9_000_007)
    made = studio.prepare_control(colour_map(scene.labels), "segmentation").png
    return Request.make(made, prompt=scene.caption, **{"method": "block_caching", "budget": 0.6} | fields)


def test_stopped_on_the_page_it_goes_on_and_ends_the_same(studio: Studio) -> None:
    """Stop is heard within a scene; what was measured before it is neither lost nor measured again."""
    subject = Subject("landscapes", "segmentation", "ddim", 2, 3.0)
    steps = []

    class Stop(threading.Event):
        def is_set(self) -> bool:
            steps.append(len(steps))
            return len(steps) == 3  # the first step of the second scene

    before = []
    with pytest.raises(Cancelled, match="step 1 "):
        before.extend(studio.calibrate(subject, 2, cancel=Stop()))
    assert before == [ScenesMeasured(0, 2), ScenesMeasured(1, 2)]
    assert studio.calibration(subject) is None
    *news, again = studio.calibrate(subject, 2)
    assert news == [ScenesMeasured(1, 2), ScenesMeasured(2, 2)]
    place = own_path(subject, studio.weights_under(subject.control))
    for file in (state_beside(place), place, place.with_suffix(".npz")):
        file.unlink()
    *_, at_once = studio.calibrate(subject, 2)
    assert isinstance(again, Calibration)
    assert isinstance(at_once, Calibration)
    assert again.curves == at_once.curves
    assert again.adjustment.digest == at_once.adjustment.digest


def test_what_is_calibrated_on_the_page_is_what_runs_go_by(
    studio: Studio, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though one of another guidance is shipped; carried over to a third guidance, both arms and the card say so.

    What stale weights left for that third guidance nobody goes by.
    """
    monkeypatch.setattr(calibrations, "CALIBRATIONS", folder / "shipped")
    two, four = (Subject("landscapes", "segmentation", "ddim", 4, guidance) for guidance in (2.0, 4.0))
    *_, shipped = studio.calibrate(two, 1)
    (folder / "shipped").mkdir()
    made = own_path(two, studio.weights_under(two.control))
    for file in (made, made.with_suffix(".npz")):
        file.rename(folder / "shipped" / f"{two.name}{file.suffix}")
    *_, own = studio.calibrate(four, 1)
    assert isinstance(shipped, Calibration)
    assert isinstance(own, Calibration)
    for subject, made in ((two, shipped), (four, own)):
        plan = studio.plan(painted(studio, steps=4, guidance=subject.guidance))
        assert plan.fitted == {made.adjustment.digest}
        found = studio.calibration(subject)
        assert found is not None
        assert found.curves == made.curves
        assert studio.curves_of(plan, painted(studio, steps=4, guidance=7.0)) == made.curves
    assert studio.calibration(replace(two, guidance=5.0)) is None, "of what is measured the page tells only that"
    five = replace(two, guidance=5.0)
    stale = replace(own.curves, subject=five, versions={"weights": OTHERS})
    Calibration(stale, own.adjustment).write(own_path(five, OTHERS))
    asked = painted(studio, steps=4, guidance=5.0, rival="block_caching")
    *_, result = studio.compare(asked)
    assert isinstance(result, Comparison)
    assert result.cached.trace.plan.fitted == {own.adjustment.digest}
    assert studio.curves_of(result.cached.trace.plan, asked) == own.curves
    words = "plan was carried over from guidance 4, not measured here."
    assert result.notes[-2:] == (f"The {words}", f"The rival's {words}")


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp", "unipc"])
@pytest.mark.parametrize("control", ["segmentation", "edges"])
def test_landscapes_comes_calibrated_for_every_control_and_sampler(studio: Studio, control: str, sampler: str) -> None:
    """So that what needs a calibration runs there without one being made, and carries nothing over."""
    for method in ("block_caching", "magcache", "easycache"):
        asked = painted(studio, steps=20, control=control, sampler=sampler, method=method, budget=0.5)
        assert studio.plan(asked).origin.carried_over == {}
    with pytest.raises(NotCalibrated) as refused:
        studio.plan(painted(studio, steps=11, control=control, sampler=sampler))
    assert "-at-" not in str(refused.value)


@pytest.mark.parametrize(
    ("budget", "distilled_for"),
    [(0.19, None), (0.2, 0.2), (0.26, 0.2), (0.3, None), (0.45, 0.368), (0.5, 0.5), (0.8, None)],
)
@pytest.mark.parametrize("control", ["segmentation", "edges"])
def test_a_distilled_plan_is_taken_for_its_share_and_a_little_above(
    studio: Studio, control: str, budget: float, distilled_for: float | None
) -> None:
    """There it is closer to full compute than the dearer plan whose lines are in closed form."""
    file = f"landscapes-{control}-ddim-20" + (f"-at-{distilled_for}" if distilled_for else "")
    shipped = Calibration.read(ASSETS / "calibration" / f"{file}.json")
    asked = painted(studio, steps=20, control=control, budget=budget)
    plan, anatomy = studio.plan(asked), studio.anatomy()
    assert plan.fitted == {shipped.adjustment.digest}
    distilled = shipped.curves.distilled_for
    assert (None if distilled is None else distilled.share) == distilled_for
    if distilled is not None:
        assert (plan.origin.knobs["control"], plan.origin.knobs["output"]) == (distilled.control, distilled.output)
    assert plan_macs(plan, anatomy).paper <= budget * plan_macs(schedules.full(anatomy, 20), anatomy).paper


def test_block_caching_runs_on_what_is_shipped_and_scales_what_it_keeps(studio: Studio) -> None:
    asked, drawn = painted(studio, steps=20, budget=0.5), ArmCache()
    forecast = studio.forecast(asked)
    plan = forecast.plan
    assert plan.fitted
    *_, scaled = studio.compare(asked, drawn=drawn)
    assert isinstance(scaled, Comparison)
    assert scaled.cached.trace.macs == forecast.macs
    assert any(cell.state is State.FORECAST for row in scaled.cached.trace.cells.values() for cell in row)
    repeating = asked.model_copy(update={"plan": replace(plan, forecast=REPEAT).as_dict()})
    *_, kept = studio.compare(repeating, drawn=drawn)
    assert isinstance(kept, Comparison)
    assert kept.cached.trace.macs == scaled.cached.trace.macs
    assert np.array_equal(kept.full.image, scaled.full.image)
    assert not np.array_equal(kept.cached.image, scaled.cached.image)


def test_two_controls_together_do_not_go_by_what_one_was_measured_with(anatomy: Anatomy, keep: Keep) -> None:
    keep(SHIPPED)
    second = {"control": "edges", "map": b64encode(png()).decode()}
    with pytest.raises(NotCalibrated, match=r"tiny is not calibrated for segmentation\+edges"):
        planned(anatomy, second=second)
