"""Distillation: lines fitted on tiny models bring a cached run nearer to the full one; stopped, it ends the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, CalibrationRefused, ForecastRule
from hgc.calibration.distil import Fit, distil, follow, trajectory
from hgc.calibration.files import Calibration
from hgc.calibration.lines import Adjustment
from hgc.calibration.subject import OWN, Subject
from hgc.models.presets import GUIDANCE
from hgc.request import Request
from hgc.studio.studio import Studio

STEPS = 4
SUBJECT = Subject("tiny", "segmentation", "ddim", STEPS, 4.0)
PICTURE, TOKENS = "controlnet.controlnet_down_blocks.5", "unet.mid_block.attentions.0.transformer_blocks.0.attn2"
DECODER = "unet.up_blocks.1.resnets.0"
TABLE = {DECODER: "CFCF", PICTURE: "CCFF", TOKENS: "CCFF"}
WIDTH = 32  # of all three
# By site, step and age. While the decoder's value stands in, what lies before it is consumed by nobody: the tokens are
# computed in step 0 only, and read in step 2.
TAKEN = {(DECODER, 1, 1), (DECODER, 3, 1), (PICTURE, 2, 1), (PICTURE, 3, 2), (TOKENS, 2, 2)}
FIT = Fit(scenes=2, rounds=4, rate=0.05)


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.control_pipeline()


def scene(number: int) -> Mapping[str, Any]:
    control = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(number))
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(100 + number))
    return {"prompt": "a lake", "image": control, "guidance_scale": 4.0, "latents": noise}


def nothing() -> Adjustment:
    """Lines that leave every value as it is: no adjustment."""
    scale = {site: np.ones((STEPS, 2, WIDTH), np.float16) for site in TABLE}
    return Adjustment(SUBJECT, scale, {site: 0 * numbers for site, numbers in scale.items()})


def plan(lines: Adjustment | None) -> Plan:
    forecast = REPEAT if lines is None else ForecastRule("scale_shift", fitted=lines.digest)
    return Plan(Origin("adjusted"), STEPS, "tiny", TABLE, forecast=forecast)


def error(pipe: Any, lines: Adjustment | None, scenes: int = FIT.scenes) -> float:
    calls = [{**scene(i), "num_inference_steps": STEPS, "output_type": "latent"} for i in range(scenes)]
    return float(np.mean([follow(pipe, plan(lines), call, trajectory(pipe, call), lines) for call in calls]))


@pytest.fixture(scope="module")
def learned(pipe: Any, tmp_path_factory: Any) -> Adjustment:
    state = tmp_path_factory.mktemp("state") / "d.pt"
    return distil(pipe, plan(nothing()), nothing(), scene, FIT, state=state).lines


def test_the_cached_run_comes_nearer_to_the_full_one(pipe: Any, learned: Adjustment) -> None:
    before = error(pipe, None)
    assert error(pipe, nothing()) == pytest.approx(before, rel=1e-5)
    assert error(pipe, learned) < 0.9 * before


def test_lines_that_fitting_led_astray_stay_where_they_started(pipe: Any, tmp_path: Path) -> None:
    """At a rate that throws them about, what comes out is the start as far as the plan takes it: here, nothing."""
    told: list[float] = []
    wild = Fit(scenes=2, rounds=3, rate=1.0)
    lines, fitted = distil(
        pipe, plan(nothing()), nothing(), scene, wild, state=tmp_path / "d.pt", told=lambda *news: told.append(news[2])
    )
    assert told[-1] > 1.2 * error(pipe, None), "the rate is too low to try this"
    assert not fitted
    assert lines.digest == nothing().digest


def test_only_lines_that_the_plan_takes_are_moved(learned: Adjustment) -> None:
    start = nothing()
    moved = {
        (site, step, age)
        for site in TABLE
        for step in range(STEPS)
        for age in (1, 2)
        if not np.array_equal(learned.scale[site][step, age - 1], start.scale[site][step, age - 1])
    }
    assert moved == TAKEN


def test_an_identical_run_is_no_distance_away(pipe: Any) -> None:
    call = {**scene(0), "num_inference_steps": STEPS, "output_type": "latent"}
    assert follow(pipe, Plan(Origin("full"), STEPS, "tiny"), call, trajectory(pipe, call)) == 0


def test_the_networks_are_left_as_they_were(pipe: Any, learned: Adjustment) -> None:
    for net in Networks.of(pipe).all:
        assert all(weight.requires_grad and weight.grad is None for weight in net.parameters())


def test_stopped_half_way_it_goes_on_and_ends_the_same(pipe: Any, learned: Adjustment, tmp_path: Path) -> None:
    state, told = tmp_path / "d.pt", []

    def stopping(done: int, wanted: int, error: float) -> None:
        told.append((done, wanted))
        if done == 2 and len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(pipe, plan(nothing()), nothing(), scene, FIT, state=state, told=stopping)
    again = distil(pipe, plan(nothing()), nothing(), scene, FIT, state=state, told=stopping)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert again.lines.digest == learned.digest
    with pytest.raises(CalibrationRefused, match=r"d\.pt.* fit "):
        distil(pipe, plan(nothing()), nothing(), scene, replace(FIT, rounds=9), state=state)
    state.write_bytes(state.read_bytes()[:-9])
    with pytest.raises(CalibrationRefused, match="cut off"):
        distil(pipe, plan(nothing()), nothing(), scene, FIT, state=state)


@pytest.mark.parametrize("settings", [{"scenes": 0}, {"rounds": 0}, {"rate": 0.0}, {"rate": 2.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(CalibrationRefused, match="at least one"):
        Fit(**settings)


@pytest.mark.long
@pytest.mark.usefixtures("loaded")
def test_distil_from_the_shell(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out is taken by the app for the plan that it was fitted for, and refused for another."""
    monkeypatch.chdir(tmp_path)
    measured, out = tmp_path / "c.json", Path(OWN) / "landscapes-segmentation-ddim-4-distilled.json"
    first = CliRunner().invoke(app, ["calibrate", "--steps", "4", "--scenes", "1", "--out", str(measured)])
    assert first.exit_code == 0, first.output
    command = ["distil", "--calibration", str(measured), "--out", str(out), "--budget", "0.8"]
    result = CliRunner().invoke(app, [*command, "--scenes", "1", "--rounds", "1", "--held-out", "1"])
    assert result.exit_code == 0, result.output
    assert "round 1/1" in result.stderr
    assert all(name in result.stdout for name in ("kept as it is", "least squares", "distilled", "on 1 other scenes"))
    found = Calibration.read(out)
    assert found.adjustment.digest != Calibration.read(measured).adjustment.digest
    assert sorted(file.suffix for file in out.parent.iterdir()) == [".json", ".npz"]
    assert found.curves.distilled_for is not None
    assert str(found.curves.distilled_for) == "Block Caching at 80.0% of full compute"
    again = CliRunner().invoke(app, ["distil", "--calibration", str(out), "--out", str(tmp_path / "e.json")])
    assert again.exit_code == 2
    assert "distilled already, for Block Caching at 80.0% of full compute; give the calibration" in again.stderr
    refused = CliRunner().invoke(app, [*command, "--held-out", "0"])
    assert refused.exit_code == 2
    assert "--held-out 0" in refused.stderr
    asked = Request.make(
        studio.prepare_control(np.zeros((8, 8, 3), np.uint8), "segmentation").png,
        steps=4,
        guidance=GUIDANCE,
        method="block_caching",
        budget=0.8,
    )
    assert studio.plan(asked).fitted == {found.adjustment.digest}
    with pytest.raises(CalibrationRefused, match=r"Block Caching at 80\.0%"):
        studio.plan(asked.model_copy(update={"budget": 0.7}))
