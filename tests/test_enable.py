"""`hgc.enable`, and `hgc.cached` by a method: each call planned for itself, the pipeline as it was afterwards."""

from __future__ import annotations

import pickle
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionControlNetPipeline
from typer.testing import CliRunner

import hgc
from hgc.__main__ import app
from hgc.cache import schedules
from hgc.cache.anatomy import State
from hgc.cache.anatomy.measured import anatomy
from hgc.cache.plan import PlanRefused
from hgc.cache.rehearsal import plan_macs
from hgc.cache.running.belonging import NotCached
from hgc.enabled import handle_of
from hgc.models.loading import load
from hgc.models.own import own_model
from hgc.models.remembered import remember
from hgc.planning.calibrations import NotCalibrated
from hgc.planning.methods import METHODS
from hgc.request import Recipe, RequestRefused
from hgc.studio.studio import Studio

STEPS = 6


def pipes() -> dict[str, tuple[Any, dict[str, Any]]]:
    return {
        "SD": (tiny.small_pipeline("sd", "text", 1), {}),
        "two controls": (tiny.small_pipeline("sd", "text", 2), {}),
        "SDXL without control": (tiny.small_pipeline("sdxl", "text", 0), {}),
        "image to image": (tiny.small_pipeline("sd", "image", 1), {"steps": 8, "strength": 0.8}),
        "inpainting": (tiny.small_pipeline("sdxl", "inpaint", 1), {"steps": 8, "strength": 0.8}),
        "two maps of a Union": (tiny.union_pipeline("text"), tiny.union_call(2)),
    }


@pytest.fixture(scope="module")
def pipe() -> Any:
    pipe = tiny.small_pipeline("sd", "text", 1)
    tiny.latents(pipe, steps=2)  # which notes its settings on the pipeline
    return pipe


def state(pipe: Any) -> Any:
    """All that enabling could leave behind."""
    nets = [pipe.unet, *([] if pipe.components.get("controlnet") is None else [pipe.controlnet])]
    return type(pipe), dict(vars(pipe)), [dict(vars(part)) for net in nets for part in net.modules()]


def same(before: Any, after: Any) -> bool:
    (kind, own, parts), (now, now_own, now_parts) = before, after
    kept = [a.keys() == b.keys() and all(a[k] is b[k] for k in a) for a, b in zip(parts, now_parts, strict=True)]
    return kind is now and own.keys() == now_own.keys() and all(kept)


@pytest.mark.parametrize(("name", "guidance"), [*((name, 4.0) for name in pipes()), ("SD", 1.0)])
def test_two_lines_save_what_is_asked_and_undo_themselves(name: str, guidance: float) -> None:
    pipe, call = pipes()[name]
    call = {"steps": STEPS, "guidance": guidance} | call
    plain = tiny.latents(pipe, **call)
    before = state(pipe)
    handle = hgc.enable(pipe, "hgc", budget=0.5)
    cached = tiny.latents(pipe, **call)
    assert handle.last is not None
    assert not handle.last.nothing_reused
    assert handle.last.macs.paper <= 0.5 * whole(pipe, call, handle.last.steps, guidance)
    assert not torch.equal(cached, plain)
    hgc.disable(pipe)
    assert same(before, state(pipe))
    assert torch.equal(tiny.latents(pipe, **call), plain)


def whole(pipe: Any, call: dict[str, Any], steps: int, guidance: float) -> float:
    sites = anatomy(pipe, 128, maps=len(call.get("control_mode", "1")))
    return plan_macs(schedules.full(sites, steps), sites, guidance=guidance > 1).paper


def test_a_budget_of_everything_changes_no_bit(pipe: Any) -> None:
    plain = tiny.latents(pipe, steps=STEPS)
    for method in ("optimised", "hgc"):
        with hgc.cached(pipe, method, budget=1.0) as run:
            assert torch.equal(tiny.latents(pipe, steps=STEPS), plain)
        assert run.trace.steps == STEPS


@pytest.mark.parametrize("name", METHODS)
def test_every_method_by_its_name(pipe: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works, or says in one sentence what would make it work; then the next call is plain."""
    monkeypatch.chdir(tmp_path)
    if name == "fewer_steps":
        with pytest.raises(RequestRefused, match="num_inference_steps"):
            hgc.enable(pipe, name)
        return
    if METHODS[name].calibrated:
        plain, before = tiny.latents(pipe, steps=STEPS), state(pipe)
        remedy = r"`hgc models add .*`python -m hgc calibrate .*--steps 6 .*such as hgc$"
        with pytest.raises(NotCalibrated, match=remedy), hgc.cached(pipe, name, budget=0.75):
            tiny.latents(pipe, steps=STEPS)
        assert same(before, state(pipe))
        assert torch.equal(tiny.latents(pipe, steps=STEPS), plain)
        return
    with hgc.cached(pipe, name, budget=0.5 if name in ("hgc", "optimised") else 0.75) as run:
        tiny.latents(pipe, steps=STEPS)
    assert run.trace.plan.origin.method == name
    assert run.trace.macs.paper < whole(pipe, {}, STEPS, 4.0)


@pytest.mark.parametrize(
    ("nets", "scheduler", "says"),
    [
        (0, DDIMScheduler, "made under one ControlNet, and it has none: choose a method"),
        (2, DDIMScheduler, "made under one ControlNet, and it has 2: choose a method"),
        (1, PNDMScheduler, "made with ddim, dpmpp, unipc, euler, lcm, and it has PNDMScheduler: choose a method"),
    ],
)
def test_what_cannot_be_calibrated_is_told_so(nets: int, scheduler: Any, says: str) -> None:
    pipe = tiny.small_pipeline("sd", "text", nets)
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    with pytest.raises(NotCalibrated, match=says), hgc.cached(pipe, "magcache"):
        tiny.latents(pipe, steps=STEPS)


def test_a_model_of_ones_own_goes_by_what_was_calibrated_here(on_small_hub: Path) -> None:
    """It is known by its weights, whatever the pipeline was made from; the refusal's own commands are the remedy."""
    file = str(on_small_hub / "my_model.safetensors")
    pipe = load(file, device="cpu").pipeline("edges", "ddim")

    def by(method: str, steps: int) -> Any:
        with hgc.cached(pipe, method, budget=0.5) as handle:
            tiny.latents(pipe, steps=steps)
        return handle.last

    remember(replace(own_model(file, "mine"), size=128))
    with pytest.raises(NotCalibrated) as refusal:
        by("magcache", STEPS)
    command = str(refusal.value).split("`python -m hgc ")[1].split("`")[0]
    command = command.replace("NAME", "mine").replace("KIND", "edges")
    done = CliRunner().invoke(app, [*command.split(), "--scenes", "1", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for method in (name for name, known in METHODS.items() if known.calibrated):
        trace = by(method, STEPS)
        assert trace.plan.origin.method == method
        assert not trace.nothing_reused
        assert trace.macs.paper < whole(pipe, {}, STEPS, 4.0)
    assert by("block_caching", STEPS).plan.fitted  # its forecasts go by numbers of the calibration
    with pytest.raises(
        NotCalibrated, match=r"mine is not calibrated for edges, ddim and 8 steps \(there is mine-edges"
    ):
        by("easycache", 8)


def test_it_is_planned_again_when_size_steps_or_guidance_change(pipe: Any) -> None:
    with hgc.cached(pipe, "deepcache", budget=0.6) as run:
        tiny.latents(pipe, steps=STEPS)
        first = run.trace.plan
        tiny.latents(pipe, steps=STEPS, seed=5)
        assert run.trace.plan is first
        tiny.latents(pipe, steps=8)
        assert run.trace.plan.steps == 8
        tiny.latents(pipe, steps=STEPS, size=64)
        assert run.trace.macs.paper < 0.5 * whole(pipe, {}, STEPS, 4.0)
        tiny.latents(pipe, steps=STEPS, guidance=1.0)
        assert set(run.trace.branches) == {1}
        tiny.latents(pipe, steps=STEPS, num_images_per_prompt=2)
        assert run.trace.images == 2
        late = {"control_guidance_start": 0.0, "control_guidance_end": 0.5}
        tiny.latents(pipe, steps=STEPS, **late)
        assert run.trace.cells["controlnet.controlnet_mid_block"][-1].state is State.DEAD


@pytest.mark.parametrize("broken", ["callback", "network"])
def test_after_an_error_the_networks_are_what_they_were_and_the_next_call_is_cached(pipe: Any, broken: str) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    before = state(pipe)
    handle = hgc.enable(pipe, "hgc", budget=0.5)
    hook = pipe.unet.up_blocks[0].register_forward_hook(fail) if broken == "network" else None
    with pytest.raises(KeyboardInterrupt):
        tiny.latents(pipe, steps=STEPS, **({} if hook else {"callback_on_step_end": fail}))
    if hook:
        hook.remove()
    assert handle.last is None
    assert all("forward" not in vars(part) for part in pipe.unet.modules())
    tiny.latents(pipe, steps=STEPS)
    assert handle.last is not None
    hgc.disable(pipe)
    assert same(before, state(pipe))


def test_others_over_the_same_networks_and_copies_run_plainly(pipe: Any) -> None:
    other = StableDiffusionControlNetPipeline(**pipe.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    plain = tiny.latents(pipe, steps=STEPS)
    handle = hgc.enable(pipe, "hgc", budget=0.5)
    twins = (other, copy(pipe), pickle.loads(pickle.dumps(pipe)))
    assert all(type(twin) is StableDiffusionControlNetPipeline for twin in twins)
    for twin in twins:
        assert torch.equal(tiny.latents(twin, steps=STEPS), plain)
    assert handle.last is None
    assert type(pipe).__name__ == "StableDiffusionControlNetPipeline"
    hgc.disable(pipe)


def test_enabling_twice_takes_the_new_method_and_disabling_twice_is_safe(pipe: Any) -> None:
    before = state(pipe)
    hgc.enable(pipe, "hgc", budget=0.5)
    second = hgc.enable(pipe, "deepcache", budget=0.6)
    tiny.latents(pipe, steps=STEPS)
    assert second.trace.plan.origin.method == "deepcache"
    hgc.disable(pipe)
    hgc.disable(pipe)
    assert same(before, state(pipe))


def test_a_plan_or_a_block_of_its_own_comes_before_what_is_enabled(pipe: Any) -> None:
    handle = hgc.enable(pipe, "hgc", budget=0.5)
    with hgc.cached(pipe, schedules.full(anatomy(pipe, 128), STEPS)) as run:
        tiny.latents(pipe, steps=STEPS)
    assert run.trace.nothing_reused
    with hgc.cached(pipe, "deepcache", budget=0.6) as own:
        tiny.latents(pipe, steps=STEPS)
    assert own.trace.plan.origin.method == "deepcache"
    assert handle_of(pipe) is handle
    assert handle.last is None
    hgc.disable(pipe)


def test_what_cannot_be_is_refused_before_anything_is_changed(pipe: Any) -> None:
    before = state(pipe)
    with pytest.raises(RequestRefused, match="unknown method 'magic'"):
        hgc.enable(pipe, "magic")
    with pytest.raises(RequestRefused, match="budget"):
        hgc.enable(pipe, "hgc", budget=2.0)
    with pytest.raises(RuntimeError, match="call the pipeline first"):
        _ = hgc.enable(pipe).trace
    with pytest.raises(RequestRefused, match="ask the pipeline"):
        hgc.enable(pipe, "fewer_steps")
    hgc.enable(pipe, "tgate", budget=0.1)
    with pytest.raises(PlanRefused, match="so choose"):
        tiny.latents(pipe, steps=STEPS)
    hgc.disable(pipe)
    assert same(before, state(pipe))
    with pytest.warns(NotCached, match="was not called"), hgc.cached(pipe, "hgc"):
        pass


@pytest.mark.parametrize("method", ["hgc", "optimised"])
def test_a_model_that_was_measured_is_planned_for_as_everywhere_else(studio: Studio, method: str) -> None:
    """It is known by its weights, whatever the pipeline is called; other weights of its kind are carried over to."""
    recipe = Recipe.parse({"steps": 4, "method": method, "budget": 0.6})
    measured, other = studio.loaded.pipeline("segmentation", "ddim"), studio.loaded.pipeline("edges", "ddim")
    drawing = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    for pipe, asked in ((measured, recipe), (other, recipe.but(control="edges"))):
        with hgc.cached(pipe, method, budget=0.6) as handle:
            pipe("a lake", image=drawing, num_inference_steps=4, guidance_scale=recipe.guidance, output_type="latent")
        assert handle.last.plan == studio.plan(asked)


def test_a_scheduler_that_nothing_was_measured_with_is_said(studio: Studio) -> None:
    pipe = studio.loaded.pipeline("segmentation", "ddim")
    pipe.scheduler = PNDMScheduler.from_config(pipe.scheduler.config, skip_prk_steps=True)
    drawing = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with hgc.cached(pipe, "optimised", budget=0.6) as handle:
        pipe("a lake", image=drawing, num_inference_steps=4, guidance_scale=2.0, output_type="latent")
    assert handle.last.plan.origin.carried_over["sampler"] == "ddim"
