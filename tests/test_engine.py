"""The rules the engine keeps, on tiny random pipelines of the real architecture."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import made_up
import pytest
import tiny
import torch
from diffusers import DDIMScheduler

from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind, State
from hgc.cache.anatomy.macs import MacCounter
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.forecast import by_frequency
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import ForecastRule, FrequencySplit, Gate, PlanRefused
from hgc.cache.running.belonging import NotCached
from hgc.cache.running.engine import cached

STEPS = 6


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.control_pipeline()


@pytest.fixture(scope="module")
def anatomy(pipe: Any) -> Anatomy:
    return anatomy_of(pipe)


def anatomy_of(pipe: Any) -> Anatomy:
    return measure(Networks.of(pipe), (16, 16), tiny.tokenizer().model_max_length, model="tiny")


def every_plan(anatomy: Anatomy, steps: int = STEPS) -> Mapping[str, Plan]:
    """One plan of each kind, and some that no method makes."""
    cut = schedules.cut_site(anatomy, 2)
    return {
        "full": schedules.full(anatomy, steps),
        "exact": schedules.exact(anatomy, steps),
        "hgc": schedules.HGC(lambda_inter=0.5).plan(anatomy, steps),
        "hgc repeating": schedules.HGC(lambda_inter=0.5, order=0).plan(anatomy, steps),
        "hgc quadratic": schedules.HGC(lambda_inter=0.7, order=2).plan(anatomy, steps),
        "hgc coarse": schedules.HGC(lambda_inter=0.5, fine=False).plan(anatomy, steps),
        "hgc fine": schedules.HGC(coarse=False).plan(anatomy, steps),
        "hgc dropping": schedules.HGC(fusion="drop").plan(anatomy, steps),
        "hgc shallow": schedules.HGC(lambda_intra=0).plan(anatomy, steps),
        "hgc deep": schedules.HGC(lambda_intra=0.8).plan(anatomy, steps),
        "deepcache": schedules.DeepCache(interval=2, branch=1).plan(anatomy, steps),
        "deepcache around": schedules.DeepCache(interval=2, branch=2, centre=2).plan(anatomy, steps),
        "tgate": schedules.TGate(gate_step=3).plan(anatomy, steps),
        "tgate with self-attention": schedules.TGate(gate_step=4, self_every_before=2, self_every_after=2, warm=0).plan(
            anatomy, steps
        ),
        "encoder": schedules.EncoderPropagation(keys=(0, 1, 3)).plan(anatomy, steps),
        "guidance reuse": schedules.GuidanceReuse(keys=(0, 1, 3)).plan(anatomy, steps),
        "step skip": schedules.StepSkip(keys=(0, 1, 3)).plan(anatomy, steps),
        "step skip per branch": schedules.StepSkip(keys=(0, 1, 3), per_branch=True).plan(anatomy, steps),
        "block caching": schedules.BlockCaching(delta=0.3).plan(anatomy, steps, made_up.curves(anatomy, steps)),
        "block caching inside": schedules.BlockCaching(delta=0.3, kinds=schedules.ADDED).plan(
            anatomy, steps, made_up.curves(anatomy, steps)
        ),
        "branch on and off": Plan(
            Origin("on and off"), steps, "tiny", {UNGUIDED: ("CCRRCR" * 9)[:steps], cut: ("CCCFFF" * 9)[:steps]}
        ),
    }


@pytest.fixture(scope="module")
def plans(anatomy: Anatomy) -> Mapping[str, Plan]:
    return every_plan(anatomy)


def vars_of(pipe: Any) -> dict[str, dict[str, Any]]:
    return {
        f"{name}.{path}": dict(vars(module))
        for name in ("unet", "controlnet")
        for path, module in pipe.components[name].named_modules()
    }


@pytest.fixture
def undone(pipe: Any) -> Iterator[None]:
    """Whatever a test does, every module is afterwards what it was."""
    before = vars_of(pipe)
    yield
    after = vars_of(pipe)
    for path, attributes in before.items():
        assert after[path].keys() == attributes.keys(), path
        assert all(after[path][key] is value for key, value in attributes.items()), path


@pytest.mark.parametrize("name", ["full", "exact"])
def test_computing_everything_changes_no_bit(pipe: Any, plans: Mapping[str, Plan], name: str) -> None:
    """With every solver and pipeline: test_pipelines.py."""
    plain = tiny.latents(pipe)
    with cached(pipe, plans[name]) as run:
        assert torch.equal(tiny.latents(pipe), plain)
    assert run.trace.steps == STEPS
    assert run.trace.nothing_reused is (name == "full")


def test_only_what_a_plan_passes_by_is_handled(pipe: Any, anatomy: Anatomy, plans: Mapping[str, Plan]) -> None:
    """Handlers cost time in every step: a plan that computes everything needs none inside of the networks."""

    def handled(plan: Plan, **looks: Any) -> set[str]:
        with pytest.warns(NotCached), cached(pipe, plan, **looks):
            return {path for path, state in vars_of(pipe).items() if "forward" in state}

    assert handled(plans["full"]) == {"unet.", "controlnet."}
    attention = next(site.name for site in anatomy.of(Kind.CROSS_ATTENTION) if site.name.startswith("unet."))
    assert handled(Plan(Origin("one"), STEPS, "tiny", {attention: "CCRRCR"})) == {"unet.", "controlnet.", attention}
    assert len(handled(plans["full"], timed=True)) > 100


@pytest.mark.usefixtures("undone")
def test_modules_are_untouched_after_success(pipe: Any, plans: Mapping[str, Plan]) -> None:
    plain = tiny.latents(pipe)
    with cached(pipe, plans["hgc"]):
        assert not torch.equal(tiny.latents(pipe), plain)
    assert torch.equal(tiny.latents(pipe), plain)


@pytest.mark.usefixtures("undone")
def test_modules_are_untouched_after_an_error_in_the_middle(pipe: Any, plans: Mapping[str, Plan]) -> None:
    def fail(_pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        if step == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt), cached(pipe, plans["hgc"]) as run:
        tiny.latents(pipe, callback_on_step_end=fail)
    assert run.trace.steps == 3


@pytest.mark.usefixtures("undone")
def test_the_inner_block_wins_and_the_outer_one_comes_back(pipe: Any, plans: Mapping[str, Plan]) -> None:
    with cached(pipe, plans["hgc"]):
        alone = tiny.latents(pipe)
    with cached(pipe, plans["hgc"]) as outer:
        with cached(pipe, plans["full"]):
            inside = tiny.latents(pipe)
        assert torch.equal(tiny.latents(pipe), alone)
    assert torch.equal(tiny.latents(pipe), inside)
    assert outer.trace.steps == STEPS


def test_two_runs_over_the_same_networks_never_meet(pipe: Any, plans: Mapping[str, Plan]) -> None:
    chosen = [plans[name] for name in ("hgc", "step skip", "full")]
    parts = {**pipe.components, "requires_safety_checker": False}
    # A fast tokenizer keeps padding as state of its own, which is not the engine's to guard.
    tokenizers = [deepcopy(pipe.tokenizer) for _ in chosen]

    def run(plan: Plan, seed: int) -> torch.Tensor:
        scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
        own = type(pipe)(**{**parts, "scheduler": scheduler, "tokenizer": tokenizers[seed]})
        own.set_progress_bar_config(disable=True)
        with cached(own, plan):
            return tiny.latents(own, seed=seed)

    alone = [run(plan, seed) for seed, plan in enumerate(chosen)]
    together: dict[int, torch.Tensor] = {}
    start = threading.Barrier(len(chosen))

    def race(seed: int, plan: Plan) -> None:
        start.wait()
        together[seed] = run(plan, seed)

    threads = [threading.Thread(target=race, args=(seed, plan)) for seed, plan in enumerate(chosen)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(together[seed], result) for seed, result in enumerate(alone))


NAMES = list(every_plan(anatomy_of(tiny.control_pipeline())))


@pytest.mark.parametrize("name", NAMES)
def test_planned_macs_are_the_executed_ones(pipe: Any, anatomy: Anatomy, plans: Mapping[str, Plan], name: str) -> None:
    plan = plans[name]
    with MacCounter() as outside:
        pipe.encode_prompt("a lake", torch.device("cpu"), 1, True)
    with MacCounter() as counter, cached(pipe, plan) as run:
        tiny.latents(pipe)
    assert counter.total - outside.total == plan_macs(plan, anatomy) == run.trace.macs


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("full", "exact", "hgc "))])
def test_planned_macs_are_the_executed_ones_without_guidance(
    pipe: Any, anatomy: Anatomy, plans: Mapping[str, Plan], name: str
) -> None:
    plan = plans[name]
    with cached(pipe, plan) as run:
        tiny.latents(pipe, guidance=1.0)
    assert run.trace.macs == plan_macs(plan, anatomy, guidance=False)
    assert set(run.trace.branches) <= {0, 1}


def test_dead_control_work_is_never_run(pipe: Any, anatomy: Anatomy) -> None:
    spent: list[int] = []
    counters: list[MacCounter] = []

    def open_counter(*_: Any) -> None:
        counters.append(MacCounter().__enter__())

    def close_counter(*_: Any) -> None:
        counters[-1].__exit__(None, None, None)
        spent.append(counters[-1].total.full)

    hooks = [
        pipe.controlnet.register_forward_pre_hook(open_counter),
        pipe.controlnet.register_forward_hook(close_counter),
    ]
    with cached(pipe, schedules.HGC(lambda_inter=0.5, fine=False).plan(anatomy, STEPS)):
        tiny.latents(pipe)
    for hook in hooks:
        hook.remove()
    assert [step for step, macs in enumerate(spent) if macs] == list(schedules.key_steps(STEPS, 3))


def outputs_of(pipe: Any, module: torch.nn.Module, **call: Any) -> list[torch.Tensor]:
    """What a module returned in each step of a run."""
    seen: list[torch.Tensor] = []
    hook = module.register_forward_hook(lambda _m, _a, out: seen.append(out[0] if isinstance(out, tuple) else out))
    try:
        tiny.latents(pipe, **call)
    finally:
        hook.remove()
    return seen


def test_a_reused_value_is_the_last_one_and_a_forecast_goes_on_from_the_last_two(pipe: Any, anatomy: Anatomy) -> None:
    site = schedules.cut_site(anatomy, 1)
    module = pipe.unet.get_submodule(site.removeprefix("unet."))
    rows = {"repeat": "CCRRCR", "line": "CCFFCF"}
    with cached(pipe, Plan(Origin("repeat"), STEPS, "tiny", {site: rows["repeat"]})):
        seen = outputs_of(pipe, module)
    assert torch.equal(seen[2], seen[1])
    assert torch.equal(seen[3], seen[1])
    assert torch.equal(seen[5], seen[4])
    with cached(pipe, Plan(Origin("line"), STEPS, "tiny", {site: rows["line"]})):
        seen = outputs_of(pipe, module)
    torch.testing.assert_close(seen[3], seen[1] + 2 * (seen[1] - seen[0]))
    torch.testing.assert_close(seen[5], seen[4] + (seen[4] - seen[1]) / 3)


@pytest.mark.parametrize(
    ("forecast", "wanted"),
    [
        (ForecastRule("repeat"), {3: [0, 0, 1], 5: [0, 0, 0, 0, 1]}),
        (ForecastRule("taylor", 2), {3: [1, -3, 3], 5: [0, 1, -2, 0, 2]}),
        (ForecastRule("hermite", 1), {3: [0, -0.5, 1.5], 5: [0, 0, -0.25, 0, 1.25]}),
        (ForecastRule("chebyshev", 1, window=3), {3: [-2 / 3, 1 / 3, 4 / 3], 5: [0, -3 / 7, 1 / 7, 0, 9 / 7]}),
    ],
    ids=["repeat", "taylor", "hermite", "chebyshev"],
)
def test_a_forecast_cell_is_what_its_basis_says(
    pipe: Any, anatomy: Anatomy, forecast: ForecastRule, wanted: Any
) -> None:
    """The weights of the values computed in steps 0, 1, 2 and 4, worked out by hand; one site's own forecast."""
    site = schedules.cut_site(anatomy, 1)
    module = pipe.unet.get_submodule(site.removeprefix("unet."))
    with cached(pipe, Plan(Origin("own"), STEPS, "tiny", {site: "CCCFCF"}, forecasts={site: forecast})) as run:
        seen = outputs_of(pipe, module)
    for step, weights in wanted.items():
        torch.testing.assert_close(seen[step], sum(w * seen[i] for i, w in enumerate(weights)), rtol=1e-4, atol=1e-5)
    assert run.trace.cells[site][5].state is State.FORECAST


def test_the_unguided_branch_stands_in_with_the_last_difference(pipe: Any) -> None:
    plan = Plan(Origin("fused"), STEPS, "tiny", {UNGUIDED: "CCRRRR"})
    with cached(pipe, plan) as run:
        seen = outputs_of(pipe, pipe.unet)
    unguided, guided = seen[1].chunk(2)
    later_unguided, later_guided = seen[4].chunk(2)
    torch.testing.assert_close(later_guided - later_unguided, guided - unguided)
    assert run.trace.branches == (2, 2, 1, 1, 1, 1)


def test_dropping_guidance_leaves_the_guided_prediction(pipe: Any) -> None:
    with cached(pipe, Plan(Origin("drop"), STEPS, "tiny", {UNGUIDED: "CCRRRR"}, fusion="drop")):
        seen = outputs_of(pipe, pipe.unet)
    unguided, guided = seen[3].chunk(2)
    assert torch.equal(unguided, guided)


def test_running_one_branch_gives_what_running_both_gives_for_it(pipe: Any) -> None:
    """The first one-branch step starts from the same latents, so that its guided half must agree."""
    with cached(pipe, Plan(Origin("fused"), STEPS, "tiny", {UNGUIDED: "CCCRRR"})):
        alone = outputs_of(pipe, pipe.unet)[3].chunk(2)[1]
    both = outputs_of(pipe, pipe.unet)[3].chunk(2)[1]
    torch.testing.assert_close(alone, both)


class Standstill(DDIMScheduler):
    """Every step is the same step: one timestep, and the latents stay."""

    def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
        super().set_timesteps(*args, **kwargs)
        self.timesteps = torch.full_like(self.timesteps, 500)

    def step(self, model_output: Any, timestep: Any, sample: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        return (sample,)


ENDS_GUIDANCE = (
    "hgc dropping",
    "tgate",
    "tgate with self-attention",
)  # these change the prediction even where nothing moves


@pytest.fixture(scope="module")
def standing() -> Any:
    pipe = tiny.control_pipeline()
    pipe.scheduler = Standstill.from_config(pipe.scheduler.config)
    return pipe


@pytest.fixture(scope="module")
def stood(standing: Any) -> dict[float, torch.Tensor]:
    """The one prediction of every step, by guidance scale."""
    found = {}
    for guidance in (1.0, 4.0):
        first, *rest = outputs_of(standing, standing.unet, guidance=guidance)
        assert all(torch.equal(step, first) for step in rest)
        found[guidance] = first
    return found


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_moves_keeping_anything_changes_nothing(
    standing: Any, stood: dict[float, torch.Tensor], plans: Mapping[str, Plan], name: str
) -> None:
    """A kept value then equals the one that would be computed: control added twice, or a value of the wrong site,
    branch or step, shows in the prediction."""
    guidance = 1.0 if name in ENDS_GUIDANCE else 4.0
    with cached(standing, plans[name]) as run:
        for prediction in outputs_of(standing, standing.unet, guidance=guidance):
            torch.testing.assert_close(prediction, stood[guidance], rtol=1e-3, atol=1e-4)
    assert run.trace.nothing_reused is (name == "full")


@pytest.mark.parametrize("row", ["CCCCCC", "CCRRCR", "CCFFCF"])
def test_control_is_added_exactly_once_on_computed_and_on_kept_steps(pipe: Any, anatomy: Anatomy, row: str) -> None:
    """With the latents put back after each step, twice the scale must give twice the residual in every step."""
    plan = Plan(Origin("kept control"), STEPS, "tiny", dict.fromkeys([s.name for s in anatomy.control_residuals], row))
    start = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))

    def put_back(*_: Any) -> dict[str, Any]:
        return {"latents": start}

    def residuals(scale: float) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []

        def spy(_module: Any, _args: Any, kwargs: Any) -> None:
            seen.append(torch.cat([r.flatten() for r in kwargs["down_block_additional_residuals"]]))

        hook = pipe.unet.register_forward_pre_hook(spy, with_kwargs=True)
        with cached(pipe, plan):
            tiny.latents(pipe, latents=start, controlnet_conditioning_scale=scale, callback_on_step_end=put_back)
        hook.remove()
        return seen

    for once, twice in zip(residuals(1.0), residuals(2.0), strict=True):
        assert once.abs().mean() > 0
        torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("name", ["full", "exact"])
def test_outside_its_window_control_is_not_run_and_no_bit_changes(
    pipe: Any, plans: Mapping[str, Plan], name: str
) -> None:
    window = {"control_guidance_start": 0.2, "control_guidance_end": 0.7}
    plain = tiny.latents(pipe, **window)
    with cached(pipe, plans[name]) as run:
        assert torch.equal(tiny.latents(pipe, **window), plain)
    residual = run.trace.cells["controlnet.controlnet_mid_block"]
    assert [cell.state for cell in residual] == [State.DEAD, State.DEAD, *[State.COMPUTED] * 2, State.DEAD, State.DEAD]
    assert residual[0].reason == "the control is off in this step"
    assert run.trace.macs_per_step[0].paper < run.trace.macs_per_step[3].paper


def test_constants_are_computed_once_and_again_when_a_callback_changes_the_prompt(pipe: Any, anatomy: Anatomy) -> None:
    def change(own: Any, step: int, _time: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        return {"prompt_embeds": state["prompt_embeds"] * 0.5} if step == 2 else {}

    call = {"callback_on_step_end": change, "callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"]}
    plain = tiny.latents(pipe, **call)
    with cached(pipe, schedules.exact(anatomy, STEPS)) as run:
        assert torch.equal(tiny.latents(pipe, **call), plain)
    text = next(site.name for site in anatomy.of(Kind.TEXT_KV) if site.name.startswith("unet."))
    assert "".join(cell.state for cell in run.trace.cells[text]) == "CRRCRR"
    assert run.trace.cells[text][3].reason == "encoder_hidden_states changed"
    condition = run.trace.cells["controlnet.controlnet_cond_embedding"]
    assert "".join(cell.state for cell in condition) == "CRRRRR"


def test_a_gate_that_always_fires_computes_everything_and_one_that_never_does_follows_the_plan(
    pipe: Any, anatomy: Anatomy
) -> None:
    settings: dict[str, Any] = {"lambda_inter": 0.4, "fine": False, "order": 0}
    plain = tiny.latents(pipe)
    with cached(pipe, schedules.HGC(threshold=1e-9, **settings).plan(anatomy, STEPS)) as eager:
        assert torch.equal(tiny.latents(pipe), plain)
    static = schedules.HGC(**settings).plan(anatomy, STEPS)
    with cached(pipe, static) as plan:
        expected = tiny.latents(pipe)
    lazy_plan = Plan(Origin("lazy"), STEPS, "tiny", static.table, gate=Gate(9.9, longest=STEPS))
    with cached(pipe, lazy_plan) as lazy:
        assert torch.equal(tiny.latents(pipe), expected)
    cut = schedules.cut_site(anatomy, 1)
    assert {cell.state for cell in eager.trace.cells[cut]} == {State.COMPUTED}
    assert [c.state for c in lazy.trace.cells[cut]] == [c.state for c in plan.trace.cells[cut]]
    assert "gate: feature changed by" in eager.trace.cells[cut][3].reason


def test_guidance_off_runs_one_branch_and_says_so(pipe: Any, anatomy: Anatomy, plans: Mapping[str, Plan]) -> None:
    plain = tiny.latents(pipe, guidance=1.0)
    with cached(pipe, schedules.exact(anatomy, STEPS)) as run:
        assert torch.equal(tiny.latents(pipe, guidance=1.0), plain)
    assert run.trace.branches == (1,) * STEPS
    assert {cell.state for cell in run.trace.cells[UNGUIDED]} == {State.ABSENT}
    with cached(pipe, plans["hgc"]) as run:
        tiny.latents(pipe, guidance=1.0)
    assert run.trace.macs == plan_macs(plans["hgc"], anatomy, guidance=False)


@pytest.mark.parametrize("name", ["full", "exact", "hgc", "step skip", "branch on and off"])
def test_guess_mode_runs_control_for_one_branch_as_planned(
    pipe: Any, anatomy: Anatomy, plans: Mapping[str, Plan], name: str
) -> None:
    plan = plans[name]
    with cached(pipe, plan) as run:
        guessed = tiny.latents(pipe, guess_mode=True)
    assert run.trace.macs == plan_macs(plan, anatomy, guess=True)
    assert run.trace.macs.full < plan_macs(plan, anatomy).full
    if name in ("full", "exact"):
        assert torch.equal(guessed, tiny.latents(pipe, guess_mode=True))


@pytest.mark.parametrize("make", [lambda: tiny.control_pipeline(2), tiny.plain_pipeline], ids=["two nets", "no net"])
def test_other_numbers_of_controlnets(make: Any) -> None:
    pipe = make()
    call = {"image": [tiny.control_image()] * 2} if "controlnet" in pipe.components else {}
    anatomy, plain = anatomy_of(pipe), tiny.latents(pipe, **call)
    with cached(pipe, schedules.exact(anatomy, STEPS)):
        assert torch.equal(tiny.latents(pipe, **call), plain)
    plan = schedules.HGC(lambda_inter=0.5).plan(anatomy, STEPS)
    with cached(pipe, plan) as run:
        assert not torch.equal(tiny.latents(pipe, **call), plain)
    assert run.trace.macs == plan_macs(plan, anatomy)


def test_several_images_and_prompts(pipe: Any, anatomy: Anatomy, plans: Mapping[str, Plan]) -> None:
    plain = tiny.latents(pipe, num_images_per_prompt=3)
    with cached(pipe, schedules.exact(anatomy, STEPS)) as run:
        assert torch.equal(tiny.latents(pipe, num_images_per_prompt=3), plain)
    assert run.trace.images == 3
    with cached(pipe, plans["hgc"]) as run:
        assert tiny.latents(pipe, num_images_per_prompt=3).shape == plain.shape
    assert run.trace.macs == plan_macs(plans["hgc"], anatomy) * 3


def test_observing_changes_no_bit_and_measures_drift(pipe: Any, anatomy: Anatomy) -> None:
    plain = tiny.latents(pipe)
    with cached(pipe, schedules.full(anatomy, STEPS), observe=True) as run:
        assert torch.equal(tiny.latents(pipe), plain)
    cells = run.trace.cells["unet.mid_block.resnets.0"]
    assert cells[0].drift is None
    assert all(cell.drift is not None and cell.drift > 0 for cell in cells[1:])


def test_no_global_random_state_is_touched(pipe: Any, plans: Mapping[str, Plan]) -> None:
    before = torch.get_rng_state()
    with cached(pipe, plans["hgc"]):
        tiny.latents(pipe)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_what_the_plan_needs_is_kept(pipe: Any, anatomy: Anatomy) -> None:
    with cached(pipe, schedules.full(anatomy, STEPS)) as run:
        tiny.latents(pipe)
    assert run.trace.peak_bytes == 0
    site = schedules.cut_site(anatomy, 1)
    with cached(pipe, Plan(Origin("one"), STEPS, "tiny", {site: "CRCRCR"})) as run:
        tiny.latents(pipe)
    channels, height, width = anatomy[site].shape[1:]
    assert run.trace.peak_bytes == 2 * channels * height * width * 4  # two branches, float32


@pytest.mark.parametrize(
    ("rows", "steps", "says"),
    [
        ({}, 5, "has 5 steps, this run has 6"),
        ({"unet.up_blocks.9.resnets.0": "CCCCCC"}, 6, "'unet.up_blocks.9.resnets.0' first, do not exist in this tiny"),
        ({PREDICTION: "RCCCCC"}, 6, "site 'unet', step 0: reused needs 1 computed value"),
        ({PREDICTION: "CFCCCC"}, 6, "site 'unet', step 1: forecast needs 2 computed value"),
        ({UNGUIDED: "RRCCCC"}, 6, "site 'guidance.unguided', step 0"),
    ],
)
@pytest.mark.usefixtures("undone")
def test_a_plan_that_does_not_fit_is_refused_by_name(pipe: Any, rows: Any, steps: int, says: str) -> None:
    plan = Plan(Origin("odd"), steps, "tiny", rows)
    with pytest.raises(PlanRefused, match="plan 'odd'") as refused, cached(pipe, plan):
        tiny.latents(pipe)
    assert says in str(refused.value)


def test_a_second_call_after_an_interrupted_one_is_refused(pipe: Any, anatomy: Anatomy) -> None:
    def stop(_pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        if step == 1:
            raise KeyboardInterrupt
        return {}

    with cached(pipe, schedules.exact(anatomy, STEPS)):
        with pytest.raises(KeyboardInterrupt):
            tiny.latents(pipe, callback_on_step_end=stop)
        with pytest.raises(PlanRefused, match=r"2 of 6.*`cached`"):
            tiny.latents(pipe)


def test_a_second_call_in_one_block_is_refused(pipe: Any, anatomy: Anatomy) -> None:
    with cached(pipe, schedules.exact(anatomy, STEPS)):
        tiny.latents(pipe)
        with pytest.raises(PlanRefused, match="enter `cached` again"):
            tiny.latents(pipe)


def test_a_trace_before_the_first_step_says_what_is_missing(pipe: Any, anatomy: Anatomy) -> None:
    with (
        pytest.warns(NotCached),
        cached(pipe, schedules.exact(anatomy, STEPS)) as run,
        pytest.raises(RuntimeError, match="call the pipeline"),
    ):
        _ = run.trace


def test_what_a_callback_changes_while_it_is_not_needed_is_computed_anew_when_it_is(
    pipe: Any, anatomy: Anatomy
) -> None:
    """The prompt changes while all cross-attention is kept, so that its keys and values are dead in that step."""

    def change(_pipe: Any, step: int, _time: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        return {"prompt_embeds": state["prompt_embeds"] * 0.5} if step == 1 else {}

    call = {"callback_on_step_end": change, "callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"]}
    attention = dict.fromkeys([site.name for site in anatomy.of(Kind.CROSS_ATTENTION)], "CCRCCC")
    with cached(pipe, Plan(Origin("plain text"), STEPS, "tiny", attention)):
        plain = tiny.latents(pipe, **call)
    with cached(pipe, Plan(Origin("kept text"), STEPS, "tiny", attention | schedules.constants(anatomy, STEPS))) as run:
        assert torch.equal(tiny.latents(pipe, **call), plain)
    text = next(site.name for site in anatomy.of(Kind.TEXT_KV))
    assert "".join(cell.state for cell in run.trace.cells[text]) == "CR.CRR"


def test_a_window_that_opens_late_is_planned_for(pipe: Any, anatomy: Anatomy) -> None:
    window = {"control_guidance_start": 0.5}
    plan = schedules.HGC(lambda_inter=0.4, fine=False).plan(anatomy, STEPS, first_control_step=3)
    with cached(pipe, plan) as run:
        assert torch.isfinite(tiny.latents(pipe, **window)).all()
    residual = run.trace.cells["controlnet.controlnet_down_blocks.0"]
    assert "".join(cell.state for cell in residual) == "...CCF"
    off = [{"controlnet"}] * 3 + [set()] * 3
    assert run.trace.macs == plan_macs(plan, anatomy, off=off)


@pytest.mark.parametrize("late", [3, [3, 3]], ids=["one net", "of two nets, one"])
def test_a_control_that_sets_in_too_late_for_a_plan_is_refused_before_the_first_step(late: Any) -> None:
    """The remedy is the right one: with it the plan runs."""
    nets = 1 if late == 3 else 2
    pipe = tiny.small_pipeline("sd", "text", nets)
    anatomy = anatomy_of(pipe)
    window = {"control_guidance_start": 0.5 if nets == 1 else [0.0, 0.5]}
    where = "controlnet" if nets == 1 else "controlnet.nets.1"
    says = f"'{where}.controlnet_down_blocks.0', step 3: .* sets in at step 3: make the plan with first_control_step=3"
    with (
        pytest.raises(PlanRefused, match=says),
        cached(pipe, schedules.HGC(lambda_inter=0.4).plan(anatomy, STEPS)) as run,
    ):
        tiny.latents(pipe, **window)
    with pytest.raises(RuntimeError, match="nothing was run yet"):
        _ = run.trace
    with cached(pipe, schedules.HGC(lambda_inter=0.4).plan(anatomy, STEPS, first_control_step=3)):
        assert torch.isfinite(tiny.latents(pipe, **window)).all()


def test_a_forecast_never_falls_back_to_one_value(pipe: Any, anatomy: Anatomy) -> None:
    rows = dict.fromkeys([site.name for site in anatomy.control_residuals], "CCCFFF")
    with (
        pytest.raises(PlanRefused, match="first_control_step=2"),
        cached(pipe, Plan(Origin("late"), STEPS, "tiny", rows)),
    ):
        tiny.latents(pipe, control_guidance_start=0.3)


def test_macs_are_counted_in_inference_mode_too(pipe: Any, anatomy: Anatomy) -> None:
    plan = schedules.exact(anatomy, STEPS)
    fresh = Plan(Origin("fresh"), STEPS, "measured in inference mode", plan.table)
    with torch.inference_mode(), cached(pipe, fresh) as run:
        tiny.latents(pipe)
    assert run.trace.macs == plan_macs(plan, anatomy)


def test_both_branches_of_a_kept_prediction_are_kept(pipe: Any, anatomy: Anatomy) -> None:
    with cached(pipe, schedules.StepSkip(keys=(0, 1, 3)).plan(anatomy, STEPS)) as run:
        tiny.latents(pipe)
    for site in (PREDICTION, UNGUIDED):
        assert "".join(cell.state for cell in run.trace.cells[site]) == "CCFCFF"
    assert run.trace.cells[UNGUIDED][5].age == 2


def test_a_gate_over_the_whole_prediction_learns_and_says_why(pipe: Any, anatomy: Anatomy) -> None:
    plan = Plan(Origin("gated"), STEPS, "tiny", {PREDICTION: "CCRRRR"}, gate=Gate(9.9, longest=2))
    with cached(pipe, plan) as run:
        tiny.latents(pipe)
    cells = run.trace.cells[PREDICTION]
    assert "".join(cell.state for cell in cells) == "CCRRCR"
    assert "< 9.9" in cells[2].reason
    assert "the longest allowed" in cells[4].reason


def test_a_gate_per_branch_refreshes_the_guided_one_alone(pipe: Any, anatomy: Anatomy) -> None:
    """Between a threshold that only the prediction's change reaches and one that both reach."""
    states = {}
    for name, gate in (("never", Gate(9.9, 9, True)), ("always", Gate(1e-9, 9, True)), ("one", Gate(9.9, 1, True))):
        with cached(pipe, replace(schedules.StepSkip(per_branch=True).plan(anatomy, STEPS), gate=gate)) as run:
            tiny.latents(pipe)
        cells = run.trace.cells
        states[name] = ["".join(cell.state for cell in cells[site]) for site in (PREDICTION, UNGUIDED)]
        assert "gate: " in cells[UNGUIDED][3].reason
    assert states["never"] == ["CCFFFF", "CCFFFF"]
    assert states["always"] == ["CCCCCC", "CCCCCC"]
    assert states["one"] == ["CCFCFC", "CCFCFC"]


def test_the_guidance_difference_has_a_gate_of_its_own(pipe: Any, anatomy: Anatomy) -> None:
    """Without a row of the prediction, the gate decides the unguided branch by the change of the difference alone."""
    rows = {UNGUIDED: "CCRRRR"}
    with cached(pipe, Plan(Origin("own"), STEPS, "tiny", rows, gate=Gate(1e-9, 9, per_branch=True))) as run:
        tiny.latents(pipe)
    assert run.trace.branches == (2,) * STEPS
    with cached(pipe, Plan(Origin("own"), STEPS, "tiny", rows, gate=Gate(9.9, 2, per_branch=True))) as run:
        tiny.latents(pipe)
    assert run.trace.branches == (2, 2, 1, 1, 2, 1)


def test_attention_kept_beyond_the_gate_is_the_mean_of_both_branches(pipe: Any, anatomy: Anatomy) -> None:
    site = next(site.name for site in anatomy.of(Kind.CROSS_ATTENTION) if site.name.startswith("unet."))
    module = pipe.unet.get_submodule(site.removeprefix("unet."))
    with cached(pipe, schedules.TGate(gate_step=3).plan(anatomy, STEPS)):
        seen = outputs_of(pipe, module)
    torch.testing.assert_close(seen[3], (seen[2][:1] + seen[2][1:]) / 2)
    assert torch.equal(seen[5], seen[3])


def test_the_kept_difference_is_weighed_by_frequency(pipe: Any) -> None:
    weights = {"low": (1, 1, 1.5, 1, 1, 1), "high": (1, 1, 0.5, 1, 1, 1)}
    plan = Plan(Origin("split"), STEPS, "tiny", {UNGUIDED: "CCRRRR"}, split=FrequencySplit(**weights))
    with cached(pipe, plan):
        seen = outputs_of(pipe, pipe.unet)
    kept, weighed, plain = (later.chunk(2)[1] - later.chunk(2)[0] for later in (seen[1], seen[2], seen[3]))
    torch.testing.assert_close(plain, kept)
    torch.testing.assert_close(weighed, by_frequency(kept, 1.5, 0.5, 0.2))
    assert not torch.allclose(weighed, kept, rtol=0.1)


def test_a_pipeline_that_cannot_be_followed_is_refused(anatomy: Anatomy) -> None:
    with (
        pytest.raises(PlanRefused, match="SimpleNamespace"),
        cached(SimpleNamespace(components={}), schedules.full(anatomy, STEPS)),
    ):
        pass
    twice = tiny.control_pipeline(2)
    twice.controlnet.nets[1] = twice.controlnet.nets[0]
    with (
        pytest.raises(PlanRefused, match=r"ControlNet.*twice"),
        cached(twice, schedules.full(anatomy, STEPS)),
    ):
        pass


def test_leaving_from_another_context_still_undoes_everything(pipe: Any, anatomy: Anatomy) -> None:
    def held() -> Iterator[None]:
        with cached(pipe, schedules.full(anatomy, STEPS)):
            yield

    holder = held()
    contextvars.copy_context().run(next, holder)
    with pytest.raises(ValueError, match="different Context"):
        contextvars.copy_context().run(next, holder)
    assert not any("forward" in vars(module) for module in pipe.unet.modules())
