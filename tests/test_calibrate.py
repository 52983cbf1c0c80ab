"""Calibration: change curves and adjustments against independent sums, resumed, and refused when damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest
import tiny
import torch
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Kind, State
from hgc.cache.anatomy.macs import MacCounter
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs, rehearse
from hgc.cache.rules import LINE, REPEAT, CalibrationRefused, ForecastRule, PlanRefused
from hgc.cache.running.engine import cached
from hgc.calibration.files import Calibration, read_curves
from hgc.calibration.lines import Adjustment
from hgc.calibration.measure import Witness, calibration_of, measured, scene_by_scene, weights_of
from hgc.calibration.subject import AGAIN, Subject
from hgc.models.presets import ASSETS, GUIDANCE
from hgc.studio.studio import Studio

STEPS = 4
SUBJECT = Subject("tiny", "segmentation", "ddim", STEPS, 4.0)


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.control_pipeline()


@pytest.fixture(scope="module")
def anatomy(pipe: Any) -> Anatomy:
    return measure(Networks.of(pipe), (16, 16), tiny.tokenizer().model_max_length, model="tiny")


def scene(number: int) -> Mapping[str, Any]:
    control = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(number))
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(100 + number))
    return {"prompt": "a lake", "image": control, "guidance_scale": 4.0, "latents": noise}


def calibrate(
    pipe: Any,
    scene: Callable[[int], Mapping[str, Any]],
    subject: Subject,
    *,
    told: Callable[[int, int], None] = lambda done, scenes: None,
    **settings: Any,
) -> Calibration:
    """All scenes measured to the end."""
    each = scene_by_scene(pipe, scene, subject, settings["longest"])
    for done in measured(each, subject, weights_of(pipe), **settings):
        told(done.scenes, settings["scenes"])
    return calibration_of(done, pipe)


@pytest.fixture(scope="module")
def calibration(pipe: Any, tmp_path_factory: Any) -> Calibration:
    state = tmp_path_factory.mktemp("state") / "c.npz"
    return calibrate(pipe, scene, SUBJECT, scenes=2, state=state, longest=2)


def test_curves_are_mean_and_spread_of_the_relative_change(pipe: Any, calibration: Calibration) -> None:
    """Independently: the output of one module in every step of both scenes, guided samples only."""
    site, changes = "unet.up_blocks.1.resnets.0", []
    module = pipe.unet.get_submodule(site.removeprefix("unet."))
    for number in range(2):
        seen: list[torch.Tensor] = []
        hook = module.register_forward_hook(lambda _m, _a, out, seen=seen: seen.append(out[1:].clone()))
        pipe(**scene(number), num_inference_steps=STEPS, output_type="latent")
        hook.remove()
        moves = [((b - a).abs().mean() / a.abs().mean()).item() for a, b in pairwise(seen)]
        changes.append([0.0, *moves])
    assert calibration.curves.mean[site] == pytest.approx(np.mean(changes, 0), abs=1e-5)
    assert calibration.curves.spread[site] == pytest.approx(np.std(changes, 0), abs=1e-5)
    assert calibration.curves.scenes == 2
    assert {"torch", "diffusers", "weights"} == set(calibration.curves.versions or {})


def test_an_adjustment_is_the_least_squares_line_of_each_channel(pipe: Any, calibration: Calibration) -> None:
    """Against numpy's polyfit over all pixels, branches and scenes."""
    site = "controlnet.controlnet_mid_block"
    seen: list[list[torch.Tensor]] = []
    for number in range(2):
        seen.append([])
        hook = pipe.controlnet.controlnet_mid_block.register_forward_hook(lambda _m, _a, out: seen[-1].append(out))
        pipe(**scene(number), num_inference_steps=STEPS, output_type="latent")
        hook.remove()
    for step, age in ((1, 1), (3, 1), (3, 2)):
        scale, shift = calibration.adjustment.at(site, step - age, step)
        for channel in (0, 7):
            before = np.concatenate([run[step - age][:, channel].flatten().numpy() for run in seen])
            now = np.concatenate([run[step][:, channel].flatten().numpy() for run in seen])
            line = np.polyfit(before.astype(np.float64), now.astype(np.float64), 1)
            assert [float(scale[channel]), float(shift[channel])] == pytest.approx(line, rel=2e-3, abs=2e-3)


def test_a_signal_that_is_scaled_and_shifted_is_recovered_exactly() -> None:
    witness = Witness(3, 2, (Kind.RESIDUAL,))
    start = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start[:, 2] = 5.0  # a flat channel carries no line
    scale, shift = torch.tensor([0.5, -2.0, 1.0])[:, None, None], torch.tensor([3.0, 0.1, -1.0])[:, None, None]
    values = [start, start * scale + shift, (start * scale + shift) * scale + shift]
    for step, value in enumerate(values):
        witness(Kind.RESIDUAL, "a", step, value)
        witness(Kind.RESNET, "b", step, value)
    assert set(witness.sums) == {"a"}
    scales, shifts = witness.sums["a"].line()
    assert scales[1, 0] == pytest.approx([0.5, -2, 1], abs=1e-5)
    assert shifts[1, 0] == pytest.approx([3, 0.1, -1], abs=1e-5)
    assert scales[2, 1] == pytest.approx([0.25, 4, 1], abs=1e-5)
    assert shifts[2, 1] == pytest.approx([4.5, -0.1, -2], abs=1e-5)


def test_stopped_half_way_it_goes_on_and_ends_the_same(pipe: Any, calibration: Calibration, tmp_path: Path) -> None:
    asked: list[int] = []

    def stopping(number: int) -> Mapping[str, Any]:
        asked.append(number)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return scene(number)

    state = tmp_path / "c.npz"
    with pytest.raises(KeyboardInterrupt):
        calibrate(pipe, stopping, SUBJECT, scenes=2, state=state, longest=2)
    told: list[tuple[int, int]] = []
    again = calibrate(pipe, stopping, SUBJECT, scenes=2, state=state, longest=2, told=lambda *news: told.append(news))
    assert asked == [0, 1, 1]
    assert told == [(1, 2), (2, 2)]
    assert again.curves == calibration.curves
    assert again.adjustment.digest == calibration.adjustment.digest


def test_a_damaged_or_foreign_state_is_refused(pipe: Any, calibration: Calibration, tmp_path: Path) -> None:
    def run(subject: Subject = SUBJECT, longest: int = 2) -> None:
        calibrate(pipe, scene, subject, scenes=1, state=state, longest=longest)

    state = tmp_path / "c.npz"
    run()
    with pytest.raises(CalibrationRefused, match=r"c\.npz.*steps.* 4.* 5.*--out"):
        run(replace(SUBJECT, steps=5))
    with pytest.raises(CalibrationRefused, match=r" 2.* 3"):
        run(longest=3)
    state.write_bytes(state.read_bytes()[:-200])
    with pytest.raises(CalibrationRefused, match="cut off") as refused:
        run()
    assert "\n" not in str(refused.value)


def test_scenes_of_other_weights_are_never_added_to_those_before(pipe: Any, tmp_path: Path) -> None:
    """Trained again between two calls: neither is what was measured before counted in, nor is it lost unasked."""
    state, other = tmp_path / "c.npz", tiny.control_pipeline()
    with torch.no_grad():
        other.controlnet.controlnet_mid_block.bias += 1
    calibrate(pipe, scene, SUBJECT, scenes=1, state=state, longest=2)
    before = state.read_bytes()
    with pytest.raises(CalibrationRefused) as refused:
        calibrate(other, scene, SUBJECT, scenes=2, state=state, longest=2)
    assert str(refused.value) == (
        f"unfinished calibration c.npz: measured on weights {weights_of(pipe)}, this model's are {weights_of(other)}; "
        "delete the file, or give another --out"
    )
    assert state.read_bytes() == before
    found = dict(np.load(state))
    header = json.loads(str(found["header"]))
    del header["weights"]  # as written before there were any
    np.savez_compressed(state, **found | {"header": np.array(json.dumps(header))})
    with pytest.raises(CalibrationRefused, match=r"c\.npz.*'weights'"):
        calibrate(pipe, scene, SUBJECT, scenes=2, state=state, longest=2)


def test_a_remedy_names_every_option_that_its_command_needs() -> None:
    """And their values, where the setting is known."""
    for remedy in (SUBJECT.again, AGAIN):
        words = remedy.partition("python -m hgc calibrate ")[2].split()
        assert words[::2] == ["--model", "--control", "--sampler", "--steps", "--guidance", "--out"]
    words = SUBJECT.again.partition("python -m hgc calibrate ")[2].split()
    assert words[1::2] == ["tiny", "segmentation", "ddim", "4", "4", "runs/calibration/tiny-segmentation-ddim-4-4.json"]


def test_a_stop_while_writing_leaves_the_file_before(
    pipe: Any, calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the second scene is written: the first is there, whole, and the second is run again."""
    state, whole, told = tmp_path / "c.npz", np.savez_compressed, []

    def killed(file: Any, **arrays: Any) -> None:
        if told and told[-1] == 1:
            file.write(b"PK half of a fi")
            raise SystemExit
        whole(file, **arrays)

    def run() -> Calibration:
        told.clear()
        return calibrate(
            pipe, scene, SUBJECT, scenes=2, state=state, longest=2, told=lambda done, wanted: told.append(done)
        )

    monkeypatch.setattr(np, "savez_compressed", killed)
    with pytest.raises(SystemExit):
        run()
    monkeypatch.undo()
    again = run()
    assert told == [1, 2]
    assert again.curves == calibration.curves
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"]


def test_a_whole_file_of_another_kind_is_refused_in_one_sentence(
    pipe: Any, calibration: Calibration, tmp_path: Path
) -> None:
    """The two files of a calibration and its unfinished one, each in another's place."""
    state, path = tmp_path / "state.npz", tmp_path / "c.json"
    calibrate(pipe, scene, SUBJECT, scenes=1, state=state, longest=2)
    calibration.write(path)
    finished = path.with_suffix(".npz").read_bytes()
    path.with_suffix(".npz").write_bytes(state.read_bytes())
    state.write_bytes(finished)
    with pytest.raises(CalibrationRefused, match=r"c\.npz.*calibrate"):
        Calibration.read(path)
    with pytest.raises(CalibrationRefused, match=r"state\.npz"):
        calibrate(pipe, scene, SUBJECT, scenes=1, state=state, longest=2)
    path.write_bytes(finished)
    with pytest.raises(CalibrationRefused, match=r"c\.json"):
        Calibration.read(path)


def test_a_calibration_survives_its_files(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    calibration.write(path)
    again = Calibration.read(path)
    assert again.curves == calibration.curves
    assert again.adjustment.digest == calibration.adjustment.digest
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tiny.json", "tiny.npz"]
    other = replace(calibration.adjustment, subject=replace(SUBJECT, guidance=2.0))
    Calibration(replace(calibration.curves, adjustment=other.digest), other).write(tmp_path / "other.json")
    (tmp_path / "other.npz").replace(tmp_path / "tiny.npz")
    with pytest.raises(CalibrationRefused, match="two files"):
        Calibration.read(path)
    (tmp_path / "tiny.npz").unlink()
    with pytest.raises(CalibrationRefused, match=r"tiny\.npz"):
        Calibration.read(path)
    with pytest.raises(CalibrationRefused, match="cannot be read"):
        read_curves(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[: len(text) // 2], "c.json: cut off or not JSON"),
        (lambda text: "[]", "not change curves"),
        (lambda text: "[" * 100_000, "cut off or not JSON"),
        (lambda text: json.dumps(json.loads(text) | {"speed": 1}), "not change curves"),
        (lambda text: json.dumps(json.loads(text) | {"scenes": 0}), "0 scenes"),
        (lambda text: json.dumps(json.loads(text) | {"mean": {}}), "0 sites with spreads"),
        (lambda text: json.dumps(json.loads(text) | {"mean": 3}), "is malformed"),
        (lambda text: text.replace('"steps": 4', '"steps": 5'), "4 values, 5 steps"),
        (lambda text: json.dumps(json.loads(text) | {"subject": {"model": "x"}}), "is malformed"),
        (lambda text: json.dumps(json.loads(text) | {"distilled_for": {"plan": "x"}}), "is malformed"),
        (lambda text: json.dumps(json.loads(text) | {"distilled_for": {"plan": "x", "table": 3}}), "is malformed"),
        (lambda text: json.dumps(json.loads(text) | {"distilled_for": None}), "is malformed"),
    ],
)
def test_damaged_curves_are_refused_in_one_sentence(
    calibration: Calibration, tmp_path: Path, change: Any, says: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(change(calibration.curves.to_json()))
    with pytest.raises(CalibrationRefused) as refused:
        read_curves(path)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "python -m hgc calibrate --model" in str(refused.value)
    assert "--out" in str(refused.value)


def test_curves_of_another_model_or_other_steps_are_refused(anatomy: Anatomy) -> None:
    curves = made_up.curves(anatomy, STEPS)
    with pytest.raises(CalibrationRefused, match=r" 4.* 6.*--steps 6"):
        schedules.BlockCaching(delta=0.2).plan(anatomy, 6, curves)
    foreign = replace(curves, subject=replace(curves.subject, model="sdxl"))
    with pytest.raises(CalibrationRefused, match=r"sdxl.*tiny"):
        schedules.BlockCaching(delta=0.2).plan(anatomy, STEPS, foreign)
    unet_only = replace(curves, mean={"unet": curves.mean["unet"]}, spread={"unet": curves.spread["unet"]})
    with pytest.raises(CalibrationRefused, match="tiny"):
        schedules.BlockCaching(delta=0.2).plan(anatomy, STEPS, unet_only)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"delta": -0.1}, "delta -0.1"),
        ({"delta": float("nan")}, "delta nan"),
        ({"delta": float("inf")}, "delta inf"),
        ({}, "give one of the two"),
        ({"delta": 0.1, "share": 0.5}, "give one of the two"),
        ({"delta": 0.1, "longest": 0}, "longest 0"),
        ({"share": 0.01}, "budget 1%: the cheapest plan costs"),
        ({"delta": 0.1, "kinds": ()}, "to keep; choose other kinds"),
    ],
)
def test_block_caching_refuses_what_it_cannot_do(anatomy: Anatomy, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        schedules.BlockCaching(**settings).plan(anatomy, STEPS, made_up.curves(anatomy, STEPS))
    assert says in str(refused.value)


def test_a_block_refreshes_when_its_accumulated_change_passes_delta(anatomy: Anatomy) -> None:
    curves, kinds = made_up.curves(anatomy, 7), (Kind.CROSS_ATTENTION,)
    site = anatomy.of(*kinds)[-1].name
    curves = replace(curves, mean=curves.mean | {site: (0.0, 0.3, 0.3, 0.1, 0.1, 0.5, 0.0)})

    def row(**settings: Any) -> str:
        return schedules.BlockCaching(kinds=kinds, **settings).plan(anatomy, 7, curves).table[site]

    assert row(delta=0) == "CCCCCCR"
    assert row(delta=0.3) == "CRCRRCR"
    assert row(delta=0.65) == "CRRCRRR"
    assert row(delta=9) == "CRRRRRR"
    assert row(delta=9, longest=2) == "CRRCRRC"
    assert row(delta=0.3, forecast=LINE) == "CRCFFCF"


def test_a_refresh_that_nobody_consumes_waits(anatomy: Anatomy) -> None:
    """The middle residual stays; what lies before it in ControlNet would be due, but is dead until it is not."""
    curves = made_up.curves(anatomy, 6)
    residuals = dict.fromkeys([site.name for site in anatomy.control_residuals], (0.0, 0.1, 0.1, 0.1, 0.1, 0.1))
    inside = "controlnet.mid_block.attentions.0"
    decoder = {site.name: (0.0, *(9.0,) * 5) for site in anatomy.of(Kind.TRANSFORMER)}  # always due, never in the way
    steady = residuals | decoder | {inside: (0.0, 0.3, 0.1, 0.1, 0.1, 0.1)}
    curves = replace(curves, mean=curves.mean | steady)
    plan = schedules.BlockCaching(delta=0.25, kinds=(Kind.RESIDUAL, Kind.TRANSFORMER), forecast=LINE).plan(
        anatomy, 6, curves
    )
    assert plan.table["controlnet.controlnet_mid_block"] == "CRRCFF"
    assert plan.table[inside] == "CCCCFF"
    rehearse(plan, anatomy)


def test_delta_is_solved_for_a_share(anatomy: Anatomy) -> None:
    curves, whole = made_up.curves(anatomy, 12), plan_macs(schedules.full(anatomy, 12), anatomy).paper

    def share(**settings: Any) -> float:
        return plan_macs(schedules.BlockCaching(**settings).plan(anatomy, 12, curves), anatomy).paper / whole

    most, least = share(delta=0), share(delta=99)
    assert most - least > 0.05
    for part in (0.2, 0.5, 0.8):
        wanted = least + part * (most - least)
        assert wanted - 0.2 * (most - least) < share(share=wanted) <= wanted
    assert least < share(delta=99, kinds=schedules.ADDED)


@pytest.mark.parametrize("share", [0.2, 0.368, 0.5])
@pytest.mark.parametrize("control", ["segmentation", "edges"])
def test_a_budget_is_used_although_a_greater_threshold_can_cost_more(
    studio: Studio, control: str, share: float
) -> None:
    """Halving alone stopped at 83% and 85% of a budget of a fifth."""
    curves = Calibration.read(ASSETS / "calibration" / f"landscapes-{control}-ddim-20.json").curves
    anatomy = studio.anatomy()
    whole = plan_macs(schedules.full(anatomy, 20), anatomy).paper
    plan = schedules.BlockCaching(share=share, longest=4).plan(anatomy, 20, curves)
    assert 0.92 * share * whole < plan_macs(plan, anatomy).paper <= share * whole


def test_groups_of_blocks_have_thresholds_of_their_own(anatomy: Anatomy) -> None:
    """Half the threshold for a group is twice the change in it; the other blocks' rows stay."""
    curves = made_up.curves(anatomy, 7)
    kinds = (Kind.CROSS_ATTENTION,)  # none of them is cut off by another
    groups = {"control": "controlnet.", "output": f"unet.up_blocks.{len(tiny.CHANNELS) - 1}."}
    plain = schedules.BlockCaching(delta=0.4, kinds=kinds).plan(anatomy, 7, curves)
    for name, prefix in groups.items():
        own = schedules.BlockCaching(delta=0.4, kinds=kinds, **{name: 0.5}).plan(anatomy, 7, curves)
        doubled = {s: tuple(2 * c for c in row) if s.startswith(prefix) else row for s, row in curves.mean.items()}
        expected = schedules.BlockCaching(delta=0.4, kinds=kinds).plan(anatomy, 7, replace(curves, mean=doubled))
        assert own.table == expected.table != plain.table
        assert f"{name} ×0.5" in own.name


def test_key_steps_lie_where_the_change_adds_up(anatomy: Anatomy) -> None:
    curves = made_up.curves(anatomy, 12)
    assert schedules.key_steps_from(curves, 7) == (0, 1, 3, 5, 7, 9, 10)
    jumpy = replace(curves, mean=curves.mean | {"unet": (0.0, *[0.01] * 5, 0.9, 0.9, *[0.01] * 4)})
    assert {6, 7} <= set(schedules.key_steps_from(jumpy, 4))
    for count in range(1, 13):
        keys = schedules.key_steps_from(jumpy, count)
        assert len(set(keys)) == count
        assert list(keys) == sorted(keys)
        assert max(keys) < 12
    plan = schedules.HGC().plan(anatomy, 12, keys=schedules.key_steps_from(jumpy, 4))
    assert plan.table[schedules.cut_site(anatomy, 1)].count("C") == 4
    with pytest.raises(PlanRefused, match="13 key steps of 12"):
        schedules.key_steps_from(jumpy, 13)


@pytest.mark.parametrize("kinds", [schedules.ADDED, schedules.LAYERS], ids=["added", "layers"])
@pytest.mark.parametrize("guidance", [4.0, 1.0], ids=["guided", "unguided"])
def test_block_caching_costs_what_is_planned(pipe: Any, anatomy: Anatomy, kinds: Any, guidance: float) -> None:
    plan = schedules.BlockCaching(delta=0.25, kinds=kinds).plan(anatomy, STEPS, made_up.curves(anatomy, STEPS))
    with MacCounter() as outside:
        pipe.encode_prompt("a lake", torch.device("cpu"), 1, guidance > 1)
    with MacCounter() as counter, cached(pipe, plan) as run:
        tiny.latents(pipe, steps=STEPS, guidance=guidance)
    assert not run.trace.nothing_reused
    assert counter.total - outside.total == plan_macs(plan, anatomy, guidance=guidance > 1) == run.trace.macs


def test_a_scale_shift_cell_is_the_kept_value_scaled_and_shifted(pipe: Any, calibration: Calibration) -> None:
    """Both branches at once, and one branch alone from a value of both; tokens as well as pictures."""
    adjustment = calibration.adjustment
    fitted = ForecastRule("scale_shift", fitted=adjustment.digest)
    picture, tokens = "controlnet.controlnet_down_blocks.3", "unet.mid_block.attentions.0.transformer_blocks.0.attn2"
    table = {picture: "CFCF", tokens: "CCFF", "guidance.unguided": "CCCR"}
    seen: dict[str, list[torch.Tensor]] = {picture: [], tokens: []}
    modules = {
        picture: pipe.controlnet.controlnet_down_blocks[3],
        tokens: pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn2,
    }
    hooks = [
        module.register_forward_hook(lambda _m, _a, out, name=name: seen[name].append(out))
        for name, module in modules.items()
    ]
    with cached(pipe, Plan(Origin("adjusted"), STEPS, "tiny", table, forecast=fitted), adjustment=adjustment) as run:
        tiny.latents(pipe, steps=STEPS)
    for hook in hooks:
        hook.remove()
    assert [cell.state for cell in run.trace.cells[picture]] == [State.COMPUTED, State.FORECAST] * 2
    for name, since, step, place in (
        (picture, 0, 1, (slice(None), None, None)),
        (picture, 2, 3, (slice(None), None, None)),
        (tokens, 1, 2, ()),
        (tokens, 1, 3, ()),
    ):
        scale, shift = (torch.from_numpy(number).float() for number in adjustment.at(name, since, step))
        kept = seen[name][since][-len(seen[name][step]) :]
        if place:
            scale, shift = scale[place], shift[place]
        torch.testing.assert_close(seen[name][step], kept * scale + shift)


def test_an_adjustment_that_is_not_the_plans_is_refused(pipe: Any, calibration: Calibration) -> None:
    adjustment, site = calibration.adjustment, "controlnet.controlnet_mid_block"
    fitted = ForecastRule("scale_shift", fitted=adjustment.digest)
    plan = Plan(Origin("adjusted"), STEPS, "tiny", {site: "CFFF"}, forecast=fitted)
    with pytest.raises(PlanRefused, match=r"none.*calibration"), cached(pipe, plan):
        pass
    other = Adjustment(replace(SUBJECT, guidance=1.5), adjustment.scale, adjustment.shift)
    with pytest.raises(PlanRefused, match=f"given is {other.digest}"), cached(pipe, plan, adjustment=other):
        pass
    with (
        pytest.raises(PlanRefused, match=r"step 3.* 3 .* 2"),
        cached(pipe, plan, adjustment=adjustment),
    ):
        tiny.latents(pipe, steps=STEPS)
    assert schedules.keep_between(4, (0, 2), fitted) == "CFCF"
    assert schedules.keep_between(4, (0, 2), REPEAT) == "CRCR"


def test_curves_of_other_weights_are_refused(pipe: Any, calibration: Calibration) -> None:
    calibration.curves.check_weights(weights_of(pipe))
    other = tiny.control_pipeline()
    with torch.no_grad():
        other.controlnet.controlnet_mid_block.bias += 1
    with pytest.raises(CalibrationRefused, match=r"weights [0-9a-f]{12}"):
        calibration.curves.check_weights(weights_of(other))


@pytest.mark.parametrize("path", sorted((ASSETS / "calibration").glob("*.json")), ids=lambda path: path.stem)
def test_what_is_shipped_was_measured_on_the_model_that_is_shipped(path: Path, studio: Studio) -> None:
    found = Calibration.read(path)
    subject = found.curves.subject
    assert subject.model == studio.model
    found.curves.check_weights(weights_of(studio.loaded.pipeline(subject.control, subject.sampler)))
    assert found.curves.scenes >= 16


@pytest.mark.usefixtures("loaded")
def test_calibrate_from_the_shell(tmp_path: Path) -> None:
    out = tmp_path / "new" / "c.json"
    result = CliRunner().invoke(app, ["calibrate", "--steps", "2", "--scenes", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "scene 0/1" in result.stderr
    found = Calibration.read(out)
    assert found.curves.subject == Subject("landscapes", "segmentation", "ddim", 2, GUIDANCE)
    assert sorted(file.name for file in out.parent.iterdir()) == ["c.json", "c.npz"]
    result = CliRunner().invoke(app, ["calibrate", "--scenes", "0", "--out", str(out)])
    assert result.exit_code == 2
    assert "--scenes 0" in result.stderr
