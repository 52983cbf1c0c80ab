"""The engine on diffusers' pipelines for Stable Diffusion and SDXL, on the smallest random networks.

A covering choice, not the cross product: every pipeline (task, family, with and without ControlNet) once with DDIM,
every solver once on text-to-image with ControlNet, every way of calling once where it matters. Each case is held to the
same three rules: computing everything changes no bit, a caching plan executes exactly the MACs it was planned with, and
afterwards every module is what it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
import tiny
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind, State
from hgc.cache.anatomy.macs import NetworkMacs
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import PlanRefused
from hgc.cache.running.caller import caller
from hgc.cache.running.engine import cached
from hgc.cache.running.run import Run

STEPS = 4
SOLVERS = [
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    UniPCMultistepScheduler,
    EulerDiscreteScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
]


def anatomy_of(pipe: Any, maps: int = 1) -> Anatomy:
    return measure(Networks.of(pipe, maps), (16, 16), tiny.tokenizer().model_max_length, model="small")


def vars_of(pipe: Any) -> dict[str, dict[str, Any]]:
    names = [name for name in ("unet", "controlnet") if name in pipe.components]
    return {
        f"{name}.{path}": dict(vars(module)) for name in names for path, module in pipe.components[name].named_modules()
    }


def mixed(anatomy: Anatomy, steps: int, *, guidance: bool = True) -> Plan:
    """Reuse and forecast on all kinds of sites, one branch at the end."""
    kept, forecast = "CCRRCR", "CCFRCF"
    rows = {site.name: kept for site in anatomy.of(Kind.CROSS_ATTENTION, Kind.SELF_ATTENTION)}
    rows |= {site.name: forecast for site in anatomy.control_residuals}
    rows |= {schedules.cut_site(anatomy, 1): forecast} | ({UNGUIDED: "CCCRRR"} if guidance else {})
    padded = {name: (row + "R" * steps)[:steps] for name, row in rows.items()}
    return Plan(Origin("mixed"), steps, "small", padded | schedules.constants(anatomy, steps))


def keeps_the_rules(
    pipe: Any, evaluations: int = STEPS, *, images: int = 1, off: Sequence[Collection[str]] | None = None, **call: Any
) -> Run:
    """Runs the three rules of this file's first lines; returns the run under the caching plan."""
    call = {"steps": STEPS} | call
    networks, anatomy, before = Networks.of(pipe), anatomy_of(pipe, len(call.get("control_mode", "1"))), vars_of(pipe)
    plain = tiny.latents(pipe, **call)
    with cached(pipe, schedules.full(anatomy, evaluations)) as run:
        assert torch.equal(tiny.latents(pipe, **call), plain)
    assert run.trace.steps == evaluations
    with cached(pipe, schedules.exact(anatomy, evaluations)):
        assert torch.equal(tiny.latents(pipe, **call), plain)
    guidance = bool(pipe.do_classifier_free_guidance)
    plan = mixed(anatomy, evaluations, guidance=guidance)
    with NetworkMacs(networks.all) as counted, cached(pipe, plan) as run:
        latents = tiny.latents(pipe, **call)
    assert torch.isfinite(latents).all()
    assert not torch.equal(latents, plain)
    planned = plan_macs(plan, anatomy, guidance=guidance, guess=bool(call.get("guess_mode")), off=off)
    assert counted.total == planned * images == run.trace.macs
    after = vars_of(pipe)
    for path, attributes in before.items():
        assert after[path].keys() == attributes.keys(), path
        assert all(after[path][key] is value for key, value in attributes.items()), path
    return run


@pytest.fixture(scope="module")
def plain() -> Any:
    return tiny.small_pipeline("sd", "text", False)


@pytest.fixture(scope="module")
def controlled() -> Any:
    return tiny.small_pipeline("sd", "text", True)


@pytest.mark.parametrize(("family", "task", "control"), tiny.PIPELINES, ids=lambda part: str(part))
def test_every_pipeline(family: str, task: str, control: bool) -> None:
    pipe = tiny.small_pipeline(family, task, control)
    pictures = task != "text"
    # Image-to-image starts part of the way: of five steps at this strength four are left.
    call = {"steps": 5, "strength": 0.8} if pictures else {}
    keeps_the_rules(pipe, **call)


@pytest.mark.parametrize(
    ("task", "nets", "maps", "guidance"),
    [("text", 1, 1, 4.0), ("text", 1, 2, 4.0), ("text", 2, 2, 4.0), ("image", 1, 2, 1.0), ("inpaint", 1, 1, 4.0)],
)
def test_every_union(task: str, nets: int, maps: int, guidance: float) -> None:
    """One network that reads one map or two, and two networks with a map each."""
    call = {"guidance": guidance} if task == "text" else {"guidance": guidance, "steps": 5, "strength": 0.8}
    keeps_the_rules(tiny.union_pipeline(task, nets), **call, **tiny.union_call(maps))


def test_of_a_union_outside_its_window_nothing_runs_and_of_several_maps_all_does() -> None:
    """diffusers weighs several maps before they are added up: at weight zero the network still answers."""
    pipe, window = tiny.union_pipeline("text"), {"control_guidance_start": 0.0, "control_guidance_end": 0.5}
    off: list[set[str]] = [set(), set(), {"controlnet"}, {"controlnet"}]
    keeps_the_rules(pipe, off=off, **window, **tiny.union_call())
    keeps_the_rules(pipe, off=[set()] * STEPS, **window, **tiny.union_call(2))
    off = [set(), set(), {"controlnet.nets.1"}, {"controlnet.nets.1"}]
    ends = {"control_guidance_start": [0.0, 0.0], "control_guidance_end": [1.0, 0.5]}
    keeps_the_rules(tiny.union_pipeline("text", 2), off=off, **ends, **tiny.union_call(2))


def test_a_unions_map_that_changes_between_two_steps_is_read_again() -> None:
    """Both maps' embeddings are kept, each its own; a write into one of them is noticed."""
    pipe, call = tiny.union_pipeline("text"), {"steps": STEPS, **tiny.union_call(2)}
    anatomy, plain = anatomy_of(pipe, 2), tiny.latents(pipe, **call)
    with cached(pipe, schedules.exact(anatomy, STEPS)) as run:
        assert torch.equal(tiny.latents(pipe, **call), plain)
    kept = [cell.state for cell in run.trace.cells["controlnet.controlnet_cond_embedding"]]
    assert kept == [State.COMPUTED] + [State.REUSED] * (STEPS - 1)

    def darken(pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        if step == 1:
            frame = caller().variables["control_image"]
            frame[1].mul_(0.5)
        return {}

    expected = tiny.latents(pipe, callback_on_step_end=darken, **call)
    assert not torch.equal(expected, plain)
    with cached(pipe, schedules.exact(anatomy, STEPS)) as run:
        assert torch.equal(tiny.latents(pipe, callback_on_step_end=darken, **call), expected)
    assert run.trace.cells["controlnet.controlnet_cond_embedding"][2].reason == "controlnet_cond changed"


@pytest.mark.parametrize("task", ["text", "image", "inpaint"])
@pytest.mark.parametrize(("family", "nets"), [("sd21", 1), ("sd21", 2), ("union", 1)])
def test_control_is_added_once_on_computed_and_on_kept_steps(family: str, nets: int, task: str) -> None:
    """With the latents put back after each step, twice the scale gives twice the residual in every step."""
    pipe = tiny.union_pipeline(task) if family == "union" else tiny.sd21_pipeline(task, nets)
    call: dict[str, Any] = dict(tiny.union_call()) if family == "union" else {}
    call |= {} if task == "text" else {"strength": 1.0}
    rows = dict.fromkeys([site.name for site in anatomy_of(pipe).control_residuals], "CRCR")
    start = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))

    def residuals(scale: float) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        hook = pipe.unet.register_forward_pre_hook(
            lambda _m, _a, given: seen.append(given["mid_block_additional_residual"].clone()), with_kwargs=True
        )
        scales = scale if nets == 1 else [scale] * nets
        with cached(pipe, Plan(Origin("kept control"), STEPS, "small", rows)):
            put_back = {"callback_on_step_end": lambda *_: {"latents": start}}
            tiny.latents(pipe, steps=STEPS, **call, controlnet_conditioning_scale=scales, **put_back)
        hook.remove()
        return seen

    for once, twice in zip(residuals(1.0), residuals(2.0), strict=True):
        assert once.abs().mean() > 0
        torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
def test_every_solver(solver: Any, controlled: Any) -> None:
    before = controlled.scheduler
    controlled.scheduler = solver.from_config(before.config)
    try:
        keeps_the_rules(controlled, 2 * STEPS - 1 if solver is HeunDiscreteScheduler else STEPS)
    finally:
        controlled.scheduler = before


def test_an_inpainting_unet_of_nine_channels() -> None:
    keeps_the_rules(tiny.small_pipeline("sd", "inpaint", False, in_channels=9), strength=1.0)


@pytest.mark.parametrize("guidance", [4.0, 1.0])
@pytest.mark.parametrize("controls", [0, 1, 2])
@pytest.mark.parametrize("task", ["text", "image", "inpaint"])
def test_sd21_in_every_task(task: str, controls: int, guidance: float) -> None:
    """It predicts velocity, projects by linear layers, and has heads that follow the width."""
    pipe = tiny.sd21_pipeline(task, controls)
    keeps_the_rules(pipe, guidance=guidance, **({} if task == "text" else {"steps": 5, "strength": 0.8}))


def test_guidance_off(controlled: Any) -> None:
    run = keeps_the_rules(controlled, guidance=1.0)
    assert run.trace.branches == (1,) * STEPS


def test_a_distilled_unet_that_takes_its_guidance_as_an_input() -> None:
    """As LCM's: one branch whatever the guidance scale."""
    pipe = tiny.small_pipeline("sd", "text", False, time_cond_proj_dim=8)
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    assert keeps_the_rules(pipe).trace.branches == (1,) * STEPS


def test_negative_prompts_and_several_images(controlled: Any) -> None:
    run = keeps_the_rules(controlled, images=3, negative_prompt="a tree", num_images_per_prompt=3)
    assert run.trace.images == 3


def test_several_prompts() -> None:
    pipe = tiny.small_pipeline("sdxl", "text", False)
    keeps_the_rules(pipe, images=2, prompt=["a lake", "a hill"], negative_prompt=["a tree", "a lake"])


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_guess_mode(family: str) -> None:
    keeps_the_rules(tiny.small_pipeline(family, "text", True), guess_mode=True)


def test_outside_its_window_a_controlnet_is_not_run(controlled: Any) -> None:
    window = {"control_guidance_start": 0.0, "control_guidance_end": 0.5}
    off: list[set[str]] = [set(), set(), {"controlnet"}, {"controlnet"}]
    run = keeps_the_rules(controlled, off=off, **window)
    spent = [[run.trace.cells[s.name][i].macs_full for s in run.trace.sites if "controlnet" in s.name] for i in (0, 3)]
    assert sum(spent[0]) > 0
    assert sum(spent[1]) == 0


def test_of_several_controlnets_each_has_a_window_of_its_own() -> None:
    pipe = tiny.control_pipeline(2)
    first, second = "controlnet.nets.0", "controlnet.nets.1"
    run = keeps_the_rules(
        pipe,
        off=[set(), set(), {second}, {first, second}],
        image=[tiny.control_image()] * 2,
        controlnet_conditioning_scale=[1.0, 0.5],
        control_guidance_start=[0.0, 0.0],
        control_guidance_end=[0.75, 0.5],
    )
    for net, steps in ((first, 3), (second, 2)):
        sites = [site.name for site in run.trace.sites if site.name.startswith(net)]
        spent = [sum(run.trace.cells[name][step].macs_full for name in sites) for step in range(STEPS)]
        assert spent[0] > 0
        assert not any(spent[steps:])


def test_a_callback_may_read_and_replace_the_latents(plain: Any) -> None:
    seen: list[int] = []

    def after_step(_pipe: Any, step: int, _time: Any, state: Any) -> dict[str, Any]:
        seen.append(step)
        return {"latents": state["latents"] * 0.9}

    keeps_the_rules(plain, callback_on_step_end=after_step)
    assert seen == list(range(STEPS)) * 4


def test_a_callback_that_ends_guidance_half_way(plain: Any) -> None:
    """As diffusers' cut-off callback does: the guidance scale falls to 1 and the prompt to one branch."""

    def cut_off(pipe: Any, step: int, _time: Any, state: Any) -> dict[str, Any]:
        if step != 1:
            return {}
        pipe._guidance_scale = 1.0
        return {"prompt_embeds": state["prompt_embeds"][-1:]}

    call = {
        "steps": STEPS,
        "callback_on_step_end": cut_off,
        "callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"],
    }
    anatomy, expected = anatomy_of(plain), tiny.latents(plain, **call)
    with cached(plain, schedules.exact(anatomy, STEPS)) as run:
        assert torch.equal(tiny.latents(plain, **call), expected)
    assert run.trace.branches == (2, 2, 1, 1)
    assert [cell.state for cell in run.trace.cells[UNGUIDED]] == [State.COMPUTED] * 2 + [State.ABSENT] * 2


def test_half_precision() -> None:
    pipe = tiny.small_pipeline("sd", "text", True).to(torch.bfloat16)
    run = keeps_the_rules(pipe)
    assert run.trace.dtype == "bfloat16"


def test_channels_last() -> None:
    pipe = tiny.small_pipeline("sd", "text", True)
    for net in (pipe.unet, pipe.controlnet):
        net.to(memory_format=torch.channels_last)
    keeps_the_rules(pipe)


def test_sizes_that_the_upsampling_does_not_divide(plain: Any) -> None:
    anatomy = measure(Networks.of(plain), (15, 17), tiny.tokenizer().model_max_length, model="small")
    call = {"steps": STEPS, "height": 120, "width": 136}
    expected, plan = tiny.latents(plain, **call), mixed(anatomy, STEPS)
    with cached(plain, schedules.full(anatomy, STEPS)):
        assert torch.equal(tiny.latents(plain, **call), expected)
    with cached(plain, plan) as run:
        assert tiny.latents(plain, **call).shape == expected.shape
    assert run.trace.macs == plan_macs(plan, anatomy)


@pytest.mark.parametrize(
    ("family", "control", "face"),
    [("sd", False, False), ("sd", True, False), ("sdxl", True, False), ("sd", True, True), ("sdxl", False, True)],
)
def test_an_ip_adapters_image_prompt_is_projected_once(family: str, control: bool, face: bool) -> None:
    pipe, call = tiny.ip_adapter_pipeline(family, control, face)
    run = keeps_the_rules(pipe, **call)
    images = [site.name for site in run.trace.sites if site.kind is Kind.IMAGE_KV]
    assert len(images) == len(tiny.prompted(pipe.unet))
    projection = run.trace.cells["unet.encoder_hid_proj.image_projection_layers.0"]
    assert [cell.state for cell in projection] == [State.COMPUTED] + [State.DEAD] * (STEPS - 1)


def test_an_ip_adapter_of_several_images_is_refused() -> None:
    pipe, _ = tiny.ip_adapter_pipeline("sd", False)
    with (
        cached(pipe, schedules.full(anatomy_of(pipe), STEPS)),
        pytest.raises(PlanRefused, match=r"2 .*IP-Adapter"),
    ):
        tiny.latents(pipe, steps=STEPS, ip_adapter_image_embeds=[torch.randn(2, 2, 8)])


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_lora(family: str) -> None:
    from peft import LoraConfig

    pipe = tiny.small_pipeline(family, "text", True)
    bare = anatomy_of(pipe)
    layers = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.2", "conv1"]
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=layers, init_lora_weights=False))
    loaded = anatomy_of(pipe)
    assert plan_macs(schedules.full(loaded, 1), loaded).paper > plan_macs(schedules.full(bare, 1), bare).paper
    keeps_the_rules(pipe)
    pipe.unet.disable_adapters()
    assert plan_macs(schedules.full(bare, 1), anatomy_of(pipe)) == plan_macs(schedules.full(bare, 1), bare)


def test_model_offload() -> None:
    """Accelerate replaces every network's forward to move it about; that stays in place, around ours and afterwards."""
    from accelerate import cpu_offload_with_hook

    pipe = tiny.small_pipeline("sd", "text", True)
    for net in (pipe.unet, pipe.controlnet):
        cpu_offload_with_hook(net, torch.device("cpu"))
        assert "forward" in vars(net)
    keeps_the_rules(pipe)


def test_step_skip_works_on_every_family() -> None:
    """The whole prediction kept: nothing of UNet or ControlNet is entered in between."""
    pipe = tiny.small_pipeline("sdxl", "inpaint", True)
    plan = Plan(Origin("skip"), STEPS, "small", {PREDICTION: "CCRF"})
    with cached(pipe, plan) as run:
        tiny.latents(pipe, steps=5, strength=0.8)
    assert [macs.full > 0 for macs in run.trace.macs_per_step] == [True, True, False, False]
