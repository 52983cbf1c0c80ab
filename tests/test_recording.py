"""Recorded rows against eager runs, to the bit; and everything that a recording has to notice.

On a CPU recordings are tapes (replaying.py); the tests marked `cuda` run the same on graphs where there is a GPU.
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import tiny
import torch
from diffusers import HeunDiscreteScheduler
from diffusers.models.attention_processor import AttnProcessor
from replaying import Taping, taped
from test_engine import every_plan
from test_pipelines import SOLVERS, anatomy_of, mixed

from hgc.cache import schedules
from hgc.cache.anatomy import UNGUIDED, Anatomy, Kind
from hgc.cache.anatomy.macs import MacCounter
from hgc.cache.plan import Plan
from hgc.cache.recording.rows import Recordings
from hgc.cache.rules import Gate, PlanRefused, Verification
from hgc.cache.running.engine import cached
from hgc.cache.trace import Trace

STEPS = 6
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs need a GPU; on a CPU they are tapes")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, NEEDS_GPU])]


@dataclass
class Bench:
    """A pipeline, and recordings of its calls."""

    pipe: Any
    recordings: Recordings
    taping: Taping | None

    def eager(self, plan: Plan, **call: Any) -> tuple[torch.Tensor, Trace]:
        with cached(self.pipe, plan) as run:
            return tiny.latents(self.pipe, **call).clone(), run.trace

    def recorded(self, plan: Plan, **call: Any) -> tuple[torch.Tensor, Trace]:
        with cached(self.pipe, plan, graphs=self.recordings) as run:
            return tiny.latents(self.pipe, **call).clone(), run.trace

    def agree(self, plan: Plan, pictures: int = 2, **call: Any) -> Trace:
        """Every picture is the eager one to the bit, whatever was recorded before; the last one's trace."""
        for seed in range(pictures):
            wanted, told = self.eager(plan, seed=seed, **call)
            found, trace = self.recorded(plan, seed=seed, **call)
            assert torch.equal(found, wanted)
            assert same_cells(trace, told)
        return trace


def same_cells(one: Trace, other: Trace) -> bool:
    """Whether two runs did the same for the same reasons, times aside."""

    def timeless(trace: Trace) -> Any:
        return {name: [replace(cell, latency_ms=0.0) for cell in row] for name, row in trace.cells.items()}

    return timeless(one) == timeless(other) and one.branches == other.branches


def bench(pipe: Any, device: str = "cpu") -> Bench:
    if device == "cuda":
        return Bench(pipe.to("cuda"), Recordings(), None)
    return Bench(pipe, *taped())


@pytest.fixture(params=DEVICES)
def own(request: pytest.FixtureRequest) -> Bench:
    """A pipeline that a test may change."""
    return bench(tiny.small_pipeline("sd", "text", True), request.param)


@pytest.fixture(scope="module", params=DEVICES)
def shared(request: pytest.FixtureRequest) -> Bench:
    """A pipeline that stays as it is; what is recorded stays, too, and must not disturb."""
    return bench(tiny.small_pipeline("sd", "text", True), request.param)


def plans(anatomy: Anatomy, steps: int = STEPS) -> Mapping[str, Plan]:
    return {name: replace(plan, model="small") for name, plan in every_plan(anatomy, steps).items()}


# One of each kind that asks something else of a recording.
NAMES = ["exact", "hgc", "hgc coarse", "hgc fine", "hgc dropping", "deepcache", "tgate with self-attention", "encoder"]
NAMES += ["guidance reuse", "step skip", "step skip per branch", "block caching inside", "branch on and off"]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_gives_the_eager_picture(shared: Bench, name: str) -> None:
    trace = shared.agree(plans(anatomy_of(shared.pipe))[name])
    assert trace.replays is not None
    assert trace.replays.notes == ()
    assert set(trace.replays.steps) <= {"replayed", "kept", "recorded"}


@pytest.mark.parametrize("name", ["full", "hgc dropping", "step skip"])
def test_guidance_off(shared: Bench, name: str) -> None:
    plan = plans(anatomy_of(shared.pipe))[name]
    rows = {site: row for site, row in plan.table.items() if site != UNGUIDED}
    shared.agree(replace(plan, table=rows, fusion="difference"), guidance=1.0)


@pytest.mark.long
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("variety", tiny.VARIETIES)
def test_every_way_in_which_networks_hang_together(variety: str, device: str) -> None:
    pipe, call = tiny.VARIETIES[variety]()
    pair = bench(pipe, device)
    steps = 4
    trace = pair.agree(mixed(anatomy_of(pipe), steps), pictures=3, steps=steps, **call)
    assert trace.replays is not None
    written_into = "FreeU" in variety  # runs eagerly, and it is said
    assert bool(trace.replays.notes) == written_into
    assert (trace.replays.steps.count("replayed") >= 2) != written_into


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
def test_every_solver(shared: Bench, solver: Any) -> None:
    """Some keep what the network returned; Heun's calls it twice a step."""
    before, steps = shared.pipe.scheduler, 4
    shared.pipe.scheduler = solver.from_config(before.config)
    try:
        evaluations = 2 * steps - 1 if solver is HeunDiscreteScheduler else steps
        shared.agree(mixed(anatomy_of(shared.pipe), evaluations), pictures=2, steps=steps)
    finally:
        shared.pipe.scheduler = before


def test_a_row_runs_eagerly_when_it_is_met_first_then_is_recorded_then_replayed(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    _, first = own.recorded(full)
    assert first.replays is not None
    assert first.replays.steps == ("eager", "recorded", *["replayed"] * 4)
    assert first.replays.rows == 2  # one of the ControlNet, one of the UNet
    assert first.replays.recording_ms > 0
    assert first.replays.size_bytes > 0
    _, later = own.recorded(full, seed=9)
    assert later.replays is not None
    assert set(later.replays.steps) == {"replayed"}
    assert later.replays.recording_ms == 0
    site = next(site.name for site in later.sites if site.kind is Kind.RESNET)
    assert {cell.latency_ms for cell in later.cells[site]} == {first.cells[site][0].latency_ms}
    assert first.cells[site][0].latency_ms > 0
    assert Trace.from_json(later.to_json()) == later
    assert "replays" not in json.loads(own.eager(full)[1].to_json())


def test_one_recording_serves_every_scale_of_the_control(own: Bench) -> None:
    plan = mixed(anatomy_of(own.pipe), STEPS)
    rows = own.agree(plan, controlnet_conditioning_scale=1.0).replays
    again = own.agree(plan, controlnet_conditioning_scale=0.7).replays
    assert rows is not None
    assert again is not None
    assert again.rows == rows.rows


@pytest.mark.parametrize("rule", [{"gate": Gate(0.05)}, {"gate": Gate(0.4, per_branch=True)}], ids=str)
def test_a_gate_decides_between_recorded_rows(own: Bench, rule: Mapping[str, Any]) -> None:
    plan = plans(anatomy_of(own.pipe))["hgc"]
    trace = own.agree(replace(plan, **rule), pictures=4)
    assert trace.replays is not None
    assert trace.replays.steps.count("replayed") >= 3
    assert any(cell.reason.startswith("gate: ") for cell in trace.each())


def test_verification_decides_between_recorded_rows(own: Bench) -> None:
    plan = plans(anatomy_of(own.pipe))["branch on and off"]
    trace = own.agree(replace(plan, verification=Verification(0.05)), pictures=4)
    assert trace.replays is not None
    assert trace.replays.steps.count("replayed") >= 3


def scale_weights(pipe: Any) -> None:
    with torch.no_grad():
        pipe.unet.conv_out.weight.mul_(1.1)
        pipe.controlnet.conv_in.weight.mul_(1.1)


def swap_weights(pipe: Any) -> None:
    for net in (pipe.unet, pipe.controlnet):
        for parameter in net.parameters():
            parameter.data = parameter.data * 1.02


def replace_layer(pipe: Any) -> None:
    old = pipe.unet.mid_block.resnets[0].conv1
    pipe.unet.mid_block.resnets[0].conv1 = type(old)(old.in_channels, old.out_channels, 3, padding=1).to(old.weight)


def other_processors(pipe: Any) -> None:
    pipe.unet.set_attn_processor(AttnProcessor())


def other_number(pipe: Any) -> None:
    pipe.unet.mid_block.resnets[0].output_scale_factor = 1.5


def other_activation(pipe: Any) -> None:
    pipe.unet.up_blocks[0].resnets[0].nonlinearity = torch.nn.ReLU()


CHANGES = [scale_weights, swap_weights, replace_layer, other_processors, other_number, other_activation]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_networks_is_noticed(own: Bench, change: Callable[[Any], None]) -> None:
    plan = mixed(anatomy_of(own.pipe), STEPS)
    before = own.agree(plan)
    change(own.pipe)
    _, trace = own.recorded(plan)
    assert trace.replays is not None
    assert before.replays is not None
    written_in_place = change is scale_weights  # where a recording reads them
    assert ("unet has changed: its rows are recorded anew" in trace.replays.notes) is not written_in_place
    own.agree(plan)


def test_a_change_between_two_steps_is_noticed(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    own.agree(full)
    norm = own.pipe.unet.conv_norm_out

    def during(_pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        norm.eps = 0.5 if step == 2 else norm.eps
        return {}

    found, trace = own.recorded(full, callback_on_step_end=during)
    norm.eps = 1e-5
    assert trace.replays is not None
    assert trace.replays.steps == ("replayed",) * 3 + ("eager", "recorded", "replayed")
    wanted, _ = own.eager(full, callback_on_step_end=during)
    assert torch.equal(found, wanted)


def test_another_dtype_is_recorded_anew(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    own.agree(full)
    own.pipe.to(torch.bfloat16)
    own.agree(full)


def test_lora_is_noticed_loaded_scaled_fused_and_unloaded(own: Bench) -> None:
    from peft import LoraConfig

    plan = mixed(anatomy_of(own.pipe), STEPS)
    plain = own.agree(plan)
    own.pipe.unet.add_adapter(LoraConfig(r=2, init_lora_weights="gaussian", target_modules=["to_q", "to_out.0"]), "a")
    with torch.no_grad():
        for name, parameter in own.pipe.unet.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator(parameter.device).manual_seed(0))
    wanted = own.agree(plan, pictures=2)
    for change in (
        lambda: own.pipe.unet.set_adapters(["a"], [0.3]),
        lambda: own.pipe.unet.disable_adapters(),
        lambda: own.pipe.unet.enable_adapters(),
        lambda: own.pipe.unet.fuse_lora(0.5),
        lambda: own.pipe.unet.unfuse_lora(),
        lambda: own.pipe.unet.delete_adapters("a"),
    ):
        change()
        own.agree(plan, pictures=2)
    assert wanted.macs.full > plain.macs.full


def test_the_scale_of_an_ip_adapter_is_noticed() -> None:
    pipe, call = tiny.ip_adapter_pipeline("sd", 1)
    pair = bench(pipe)
    plan = mixed(anatomy_of(pipe), STEPS)
    for scale in (1.0, 0.4):
        pipe.set_ip_adapter_scale(scale)
        pair.agree(plan, pictures=2, **call)


SHAPES: list[Mapping[str, Any]] = [
    {},
    {"num_images_per_prompt": 2},
    {"size": 64},
    {"prompt": ["a lake", "a hill"], "guidance": 1.0},
    {},
]


def test_other_shapes_are_rows_of_their_own(own: Bench) -> None:
    for call in SHAPES:
        own.agree(schedules.full(anatomy_of(own.pipe), STEPS), pictures=2, **call)


def test_another_length_of_text_is_a_row_of_its_own(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    for tokens in (8, 12, 8):
        text = torch.randn(2, 1, tokens, tiny.TEXT_WIDTH, generator=torch.Generator().manual_seed(tokens))
        embeds = {"prompt": None, "prompt_embeds": text[0], "negative_prompt_embeds": text[1]}
        own.agree(full, pictures=2, **embeds)


def test_callbacks_may_write_latents_and_replace_embeddings(own: Bench) -> None:
    names = ["latents", "prompt_embeds"]

    def during(_pipe: Any, step: int, _time: Any, state: Any) -> dict[str, Any]:
        if step == 1:
            state["latents"].mul_(1.01)
        return {"prompt_embeds": state["prompt_embeds"] * 1.1} if step in (2, 4) else {}

    for plan in (plans(anatomy_of(own.pipe))[name] for name in ("full", "exact", "hgc")):
        own.agree(plan, callback_on_step_end=during, callback_on_step_end_tensor_inputs=names)


def test_a_run_that_was_broken_off_leaves_nothing_behind(own: Bench) -> None:
    plan = mixed(anatomy_of(own.pipe), STEPS)

    def stop(_pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        if step == 3:
            raise KeyboardInterrupt
        return {}

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            own.recorded(plan, callback_on_step_end=stop)
        own.agree(plan, pictures=1)


@pytest.mark.parametrize("error", [RuntimeError("no"), torch.OutOfMemoryError("full")])
def test_what_cannot_be_recorded_runs_eagerly_and_is_said(error: Exception) -> None:
    own = bench(tiny.small_pipeline("sd", "text", True))
    assert own.taping is not None
    plan = mixed(anatomy_of(own.pipe), STEPS)
    own.taping.fails = error
    trace = own.agree(plan, pictures=2)
    assert trace.replays is not None
    assert set(trace.replays.steps) == {"eager"}
    said = "out of memory while recording" if isinstance(error, torch.OutOfMemoryError) else "could not be recorded"
    assert any(note.startswith("unet runs eagerly: ") and said in note for note in trace.replays.notes)
    own.taping.fails = None
    recorded_later = isinstance(error, torch.OutOfMemoryError)  # when there may be memory again
    assert bool(own.agree(plan).replays.rows) is recorded_later  # type: ignore[union-attr]


def test_an_error_inside_a_network_comes_through(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    own.agree(full)
    with pytest.raises(PlanRefused, match=rf"{STEPS} steps, this run has {STEPS + 1}"):
        own.recorded(full, steps=STEPS, num_inference_steps=STEPS + 1)
    own.agree(full, pictures=1)


def test_two_runs_at_once_never_meet(own: Bench) -> None:
    """One has the recordings to itself, the other is eager and says so."""
    plan = mixed(anatomy_of(own.pipe), STEPS)
    own.agree(plan)
    wanted = {seed: own.eager(plan, seed=seed)[0] for seed in (1, 2)}
    inside, done, told = threading.Event(), threading.Event(), list[Trace]()

    def wait(_pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        if step == 2:
            inside.set()
            done.wait(60)
        return {}

    def first() -> None:
        with cached(own.pipe, plan, graphs=own.recordings) as run:
            assert torch.equal(tiny.latents(own.pipe, seed=1, callback_on_step_end=wait), wanted[1])
        told.append(run.trace)

    parts = {**own.pipe.components, "requires_safety_checker": False}
    other = type(own.pipe)(**{**parts, "scheduler": type(own.pipe.scheduler).from_config(own.pipe.scheduler.config)})
    other.set_progress_bar_config(disable=True)
    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    try:
        with cached(other, plan, graphs=own.recordings) as second:
            assert torch.equal(tiny.latents(other, seed=2), wanted[2])
    finally:
        done.set()
        thread.join()
    assert [set(trace.replays.steps) for trace in told if trace.replays] == [{"replayed"}]
    assert second.trace.replays is not None
    assert set(second.trace.replays.steps) == {"eager"}
    assert "another run is using the recordings" in second.trace.replays.notes[0]
    own.agree(plan, pictures=1)


def test_hooks_and_onlookers_make_it_eager(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    own.agree(full)
    seen: list[Any] = []
    hook = own.pipe.unet.mid_block.resnets[0].register_forward_hook(lambda *_: seen.append(1))
    trace = own.agree(full, pictures=1)
    hook.remove()
    assert trace.replays is not None
    assert len(seen) == 2 * STEPS  # eager and recorded alike
    assert (
        "unet runs eagerly: a hook stands on mid_block.resnets.0, which a replay would pass by" in trace.replays.notes
    )
    with MacCounter() as counter:
        _, counted = own.recorded(full)
    assert counter.total.full > counted.macs.full > 0
    with cached(own.pipe, full, graphs=own.recordings, observe=True) as run:
        tiny.latents(own.pipe)
    assert run.trace.replays is not None
    assert set(run.trace.replays.steps) == {"eager"}
    assert any("somebody looks" in note for note in run.trace.replays.notes)
    assert own.agree(full).replays.steps == ("replayed",) * STEPS  # type: ignore[union-attr]


@pytest.mark.cuda
@NEEDS_GPU
def test_an_offloaded_pipeline_is_eager() -> None:
    pipe = tiny.small_pipeline("sd", "text", True)
    pipe.enable_model_cpu_offload()
    pair = Bench(pipe, Recordings(), None)
    trace = pair.agree(schedules.full(anatomy_of(pipe), STEPS), pictures=1)
    assert trace.replays is not None
    assert any("offloaded" in note for note in trace.replays.notes)


def test_a_network_with_accelerates_hooks_is_eager() -> None:
    from accelerate.hooks import ModelHook, add_hook_to_module

    own = bench(tiny.small_pipeline("sd", "text", True))
    add_hook_to_module(own.pipe.unet, ModelHook())
    trace = own.agree(schedules.full(anatomy_of(own.pipe), STEPS), pictures=2)
    assert trace.replays is not None
    assert trace.replays.notes == ("unet runs eagerly: UNet2DConditionModel is offloaded, its weights move",)
    assert trace.replays.rows == 1  # the ControlNet's


def test_the_limit_in_bytes_is_kept() -> None:
    pipe = tiny.small_pipeline("sd", "text", True)
    full, other = schedules.full(anatomy_of(pipe), STEPS), mixed(anatomy_of(pipe), STEPS)
    roomy = bench(pipe)
    size = roomy.agree(full).replays.size_bytes  # type: ignore[union-attr]
    tight = Bench(pipe, *taped(limit_bytes=size // 2))
    trace = tight.agree(full)
    assert trace.replays is not None
    assert any("limit" in note for note in trace.replays.notes)
    assert trace.replays.rows >= 1
    enough = Bench(pipe, *taped(limit_bytes=size + 1))
    enough.agree(full)
    moved = enough.agree(other).replays
    assert moved is not None
    assert "what earlier runs recorded was let go to make room" in moved.notes


def test_recordings_go_with_the_networks_or_on_request() -> None:
    own = bench(tiny.small_pipeline("sd", "text", True))
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    own.agree(full)
    assert own.recordings.count == 2
    own.recordings.clear()
    assert own.recordings.count == own.recordings.size_bytes == 0
    own.agree(full)
    assert own.recordings.count == 2
    del own.pipe
    gc.collect()
    assert own.recordings.count == 0


def test_where_nothing_can_be_recorded_it_is_said() -> None:
    pipe = tiny.small_pipeline("sd", "text", True)
    full = schedules.full(anatomy_of(pipe), STEPS)
    with cached(pipe, full) as run:
        wanted = tiny.latents(pipe)
    with cached(pipe, full, graphs=True) as run:
        assert torch.equal(tiny.latents(pipe), wanted)
    assert run.trace.replays is not None
    assert set(run.trace.replays.steps) == {"eager"}
    assert run.trace.replays.notes[-1] == "unet runs eagerly: a cpu device records nothing"


def test_a_replay_runs_none_of_the_modules(own: Bench) -> None:
    """What a step costs in Python does not grow with the network."""
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    own.agree(full)
    called: list[str] = []
    conv = own.pipe.unet.conv_in
    original = type(conv).forward

    def forward(self: Any, *args: Any) -> Any:
        called.append(type(self).__name__)
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch, cached(own.pipe, full, graphs=own.recordings):
        patch.setattr(type(conv), "forward", forward)
        tiny.latents(own.pipe, output_type="latent")
    assert called == []


def test_where_nothing_can_be_recorded_no_module_more_is_attended() -> None:
    pipe = tiny.small_pipeline("sd", "text", True)
    plan = plans(anatomy_of(pipe))["deepcache"]

    def attended(graphs: Recordings | bool) -> set[str]:
        with cached(pipe, plan, graphs=graphs):
            tiny.latents(pipe, steps=STEPS)
            return {name for name, module in pipe.unet.named_modules() if "forward" in vars(module)}

    without = attended(False)
    assert without
    assert attended(True) == without
    assert attended(taped()[0]) > without
