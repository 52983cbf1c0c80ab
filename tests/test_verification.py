"""Verification while running: what it measures, when it computes more than was planned, and what the trace says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import made_up
import pytest
import tiny
import torch

from hgc.cache import schedules
from hgc.cache.anatomy import KEPT, PREDICTION, UNGUIDED, Anatomy, Kind, State
from hgc.cache.anatomy.macs import MacCounter
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import ForecastRule, FrequencySplit, Gate, Verification, Weighing
from hgc.cache.running.engine import cached
from hgc.cache.running.run import Run

STEPS = 6
NEVER, ALWAYS = Verification(9.9), Verification(0)


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.small_pipeline("sd", "text", True)


@pytest.fixture(scope="module")
def anatomy(pipe: Any) -> Anatomy:
    return anatomy_of(pipe)


def anatomy_of(pipe: Any) -> Anatomy:
    return measure(Networks.of(pipe), (16, 16), tiny.tokenizer().model_max_length, model="tiny")


def every_plan(anatomy: Anatomy) -> Mapping[str, Plan]:
    """Every way of keeping values; `dead` has rows that could not be kept if what lies downstream were computed."""
    cut, curves = schedules.cut_site(anatomy, 1), made_up.curves(anatomy, STEPS)
    middle = "controlnet.controlnet_mid_block"
    split = FrequencySplit(low=(1.1,) * STEPS, high=(0.9,) * STEPS)
    return {
        "exact": schedules.exact(anatomy, STEPS),
        "hgc": schedules.HGC(lambda_inter=0.7, attention_every=2).plan(anatomy, STEPS),
        "hgc repeating": schedules.HGC(lambda_inter=0.5, order=0).plan(anatomy, STEPS),
        "hgc gated": schedules.HGC(lambda_inter=0.4, threshold=0.3).plan(anatomy, STEPS),
        "hgc dropping": schedules.HGC(fusion="drop").plan(anatomy, STEPS),
        "deepcache": schedules.DeepCache(interval=2, branch=1).plan(anatomy, STEPS),
        "tgate": schedules.TGate(gate_step=4, self_every_before=2, self_every_after=2, warm=0).plan(anatomy, STEPS),
        "encoder": schedules.EncoderPropagation(keys=(0, 1, 3)).plan(anatomy, STEPS),
        "guidance reuse": schedules.GuidanceReuse(keys=(0, 1, 3)).plan(anatomy, STEPS),
        "step skip per branch": schedules.StepSkip(keys=(0, 1, 3), per_branch=True).plan(anatomy, STEPS),
        "block caching": schedules.BlockCaching(delta=0.3).plan(anatomy, STEPS, curves),
        "chebyshev": Plan(Origin("c"), STEPS, "tiny", {cut: "CCCFCF"}, forecast=ForecastRule("chebyshev", 1, window=3)),
        "split": Plan(Origin("s"), STEPS, "tiny", {UNGUIDED: "CCRCRR"}, split=split),
        "dead": Plan(Origin("d"), STEPS, "tiny", {cut: "CCRRRR", UNGUIDED: "CCRRRR", middle: "CRFFFF"}),
    }


NAMES = list(every_plan(anatomy_of(tiny.small_pipeline("sd", "text", True))))


def outputs(pipe: Any, plan: Plan, name: str = "", **call: Any) -> tuple[list[torch.Tensor], Run]:
    """What the UNet, or a part of it, gave in every step of a run."""
    seen: list[torch.Tensor] = []
    module = pipe.unet.get_submodule(name.removeprefix("unet."))
    hook = module.register_forward_hook(lambda _m, _a, out: seen.append(out[0] if isinstance(out, tuple) else out))
    try:
        with cached(pipe, plan) as run:
            tiny.latents(pipe, steps=plan.steps, **call)
    finally:
        hook.remove()
    return seen, run


def letters(run: Run, site: str) -> str:
    return "".join(cell.state for cell in run.trace.cells[site])


@pytest.mark.parametrize("name", NAMES)
def test_a_check_that_never_fires_changes_no_bit(pipe: Any, anatomy: Anatomy, name: str) -> None:
    plan = every_plan(anatomy)[name]
    with cached(pipe, plan) as plain:
        expected = tiny.latents(pipe)
    with cached(pipe, replace(plan, verification=NEVER)) as run:
        assert torch.equal(tiny.latents(pipe), expected)
    assert run.trace.macs == plain.trace.macs
    for site, row in plain.trace.cells.items():
        assert letters(run, site) == "".join(cell.state for cell in row)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_that_trusts_nothing_computes_what_it_can_and_counts_it(pipe: Any, anatomy: Anatomy, name: str) -> None:
    plan = replace(every_plan(anatomy)[name], verification=ALWAYS)
    with MacCounter() as outside:
        pipe.encode_prompt("a lake", torch.device("cpu"), 1, True)
    with MacCounter() as counter, cached(pipe, plan) as run:
        assert torch.isfinite(tiny.latents(pipe)).all()
    assert counter.total - outside.total == run.trace.macs
    assert run.trace.macs.paper >= plan_macs(plan, anatomy).paper
    for site in plan.table:
        measured = False
        for cell in run.trace.cells[site]:
            assert not (measured and cell.state in KEPT), f"{site} goes on from a forecast that was found wrong"
            measured = measured or (cell.forecast_error or 0) > 0
            assert cell.state is State.COMPUTED or not cell.reason.startswith("verification")


@pytest.mark.parametrize(
    ("row", "wanted"), [("CCRRRR", "CCCCCC"), ("CRRRRR", "CRRRRR"), ("CCCFFF", "CCCCCC"), ("CCFFFF", "CCFFFF")]
)
def test_only_what_was_measured_is_doubted(pipe: Any, anatomy: Anatomy, row: str, wanted: str) -> None:
    """A first value has nothing before it, and a line needs two."""
    cut = schedules.cut_site(anatomy, 1)
    _, run = outputs(pipe, Plan(Origin("one"), STEPS, "tiny", {cut: row}, verification=ALWAYS))
    assert letters(run, cut) == wanted


def test_the_error_is_that_of_the_forecast_and_the_trace_tells_it(pipe: Any, anatomy: Anatomy) -> None:
    cut = schedules.cut_site(anatomy, 1)
    plan = Plan(Origin("line"), STEPS, "tiny", {cut: "CCCFCF"}, verification=NEVER)
    seen, run = outputs(pipe, plan, cut)
    expected = seen[1] + (seen[1] - seen[0])
    guided = (expected - seen[2])[1:].abs().mean() / seen[2][1:].abs().mean()
    cells = run.trace.cells[cut]
    assert cells[2].forecast_error == pytest.approx(float(guided), rel=1e-4)
    assert [cell.forecast_error is None for cell in cells] == [True, True, False, True, False, True]
    assert cells[3].reason == f"verification: forecast of {cut} was {float(guided):.3g} off at step 3, within 9.9"
    assert cells[4].reason == "planned"
    assert type(run.trace).from_json(run.trace.to_json()) == run.trace


def test_a_broken_forecast_is_computed_at_once_and_measured_anew(pipe: Any, anatomy: Anatomy) -> None:
    """The latents jump before step 3 and hardly move before step 4: what is doubted then is trusted after."""
    cut, control = schedules.cut_site(anatomy, 1), anatomy.control_residuals[0].name
    start = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))

    def run_of(row: str, verification: Verification) -> Run:
        moves = iter([start, start * 4, start * 4.01, start * 4.01, start * 4.01, start])

        def move(*_: Any) -> dict[str, Any]:
            return {"latents": next(moves)}

        plan = Plan(Origin("jump"), STEPS, "tiny", {cut: row, control: row}, verification=verification)
        return outputs(pipe, plan, latents=start, callback_on_step_end=move)[1]

    watched = [run_of("CCCCRR", NEVER).trace.cells[name] for name in (cut, control)]
    jump, calm = (max(row[step].forecast_error or 0 for row in watched) for step in (2, 3))
    assert jump > 2 * calm > 0
    between = round((jump * calm) ** 0.5, 3)
    run = run_of("CCCRRR", Verification(between))
    assert letters(run, cut) == "CCCCRR"
    assert letters(run, control) == "CCCCRR"
    refreshed = run.trace.cells[cut][3]
    assert refreshed.reason.startswith("verification: forecast of ")
    assert refreshed.reason.endswith(f" off at step 3, over {between:g}")
    deep = run.trace.cells["unet.mid_block.resnets.0"]
    assert [cell.reason for cell in deep[2:4]] == ["planned", refreshed.reason]
    assert run.trace.cells[cut][4].reason.endswith(f" off at step 4, within {between:g}")


def test_doubted_guidance_runs_both_branches(pipe: Any, anatomy: Anatomy) -> None:
    rows = {UNGUIDED: "CCCRRR", schedules.cut_site(anatomy, 1): "CCCFFF"}
    both = Plan(Origin("both"), STEPS, "tiny", rows, verification=ALWAYS)
    assert outputs(pipe, both)[1].trace.branches == (2,) * STEPS
    ends = Plan(Origin("ends"), STEPS, "tiny", rows, fusion="drop", verification=ALWAYS)
    _, run = outputs(pipe, ends)
    assert run.trace.branches == (2, 2, 2, 1, 1, 1), "guidance that ends is no forecast"
    assert letters(run, schedules.cut_site(anatomy, 1)) == "CCCCCC"


def test_a_doubted_attention_is_computed_alone(pipe: Any, anatomy: Anatomy) -> None:
    site = next(site.name for site in anatomy.of(Kind.CROSS_ATTENTION) if site.name.startswith("unet.up"))
    plan = Plan(Origin("words"), STEPS, "tiny", {site: "CCRRRR", PREDICTION: "CCCCCR"}, verification=Verification(1e-6))
    still = Plan(Origin("still"), STEPS, "tiny", {PREDICTION: "CRCCCR"}, verification=NEVER)
    _, run = outputs(pipe, plan)
    assert letters(run, site)[:5] == "CCCCC"
    _, run = outputs(pipe, still)
    assert letters(run, PREDICTION) == "CRCCCR"


def weighted(*entries: Weighing) -> Plan:
    forecast = ForecastRule("weighted", weighings=entries)
    return Plan(Origin("fitted"), STEPS, "tiny", {PREDICTION: "CCCFFF"}, forecasts={PREDICTION: forecast})


PLANNED = (
    Weighing(2, (0, 1), (0.0, 5.0)),  # far off, so that step 3 is computed
    Weighing(3, (1, 2), (0.0, 1.0)),
    Weighing(4, (1, 2), (0.0, 1.0)),
    Weighing(5, (1, 2), (0.0, 1.0)),
)


def test_where_no_weights_fit_the_past_a_line_goes_on(pipe: Any) -> None:
    plan = replace(weighted(*PLANNED), verification=Verification(1.5))
    seen, run = outputs(pipe, plan)
    cells = run.trace.cells[PREDICTION]
    assert letters(run, PREDICTION) == "CCCCFF"
    assert "over 1.5" in cells[3].reason
    assert "no weights for these past steps, a line instead" in cells[4].reason
    torch.testing.assert_close(seen[4], seen[3] + (seen[3] - seen[2]), rtol=1e-4, atol=1e-5)


def test_weights_are_those_of_the_plan_while_nothing_was_doubted(pipe: Any) -> None:
    plan = weighted(*PLANNED)
    plain, _ = outputs(pipe, plan)
    seen, run = outputs(pipe, replace(plan, verification=NEVER))
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))
    assert run.trace.cells[PREDICTION][2].forecast_error == pytest.approx(
        float((5 * seen[1][1:] - seen[2][1:]).abs().mean() / seen[2][1:].abs().mean()), rel=1e-3
    )


def test_with_a_gate_both_decide(pipe: Any, anatomy: Anatomy) -> None:
    cut = schedules.cut_site(anatomy, 1)
    plan = Plan(Origin("both"), STEPS, "tiny", {cut: "CCCRRR"}, gate=Gate(9.9, longest=9), verification=ALWAYS)
    assert letters(outputs(pipe, plan)[1], cut) == "CCCCCC"
    _, run = outputs(pipe, replace(plan, verification=NEVER))
    assert letters(run, cut) == "CCCRRR"
    assert run.trace.cells[cut][3].reason.startswith("gate: ")


@pytest.mark.parametrize("call", [{"guess_mode": True}, {"guidance": 1.0}, {"control_guidance_end": 0.4}], ids=str)
def test_in_any_way_of_running(pipe: Any, anatomy: Anatomy, call: dict[str, Any]) -> None:
    for name in ("hgc", "deepcache", "dead"):
        plan = replace(every_plan(anatomy)[name], verification=Verification(0.01))
        _, run = outputs(pipe, plan, **call)
        assert run.trace.steps == STEPS


@pytest.fixture
def undone(pipe: Any) -> Iterator[None]:
    """Whatever a test does, every module is afterwards what it was."""
    networks = (pipe.unet, pipe.controlnet)
    before = [dict(vars(module)) for net in networks for module in net.modules()]
    yield
    assert [vars(module) for net in networks for module in net.modules()] == before


@pytest.mark.usefixtures("undone")
def test_modules_are_untouched_after_an_error_in_a_doubted_step(pipe: Any, anatomy: Anatomy) -> None:
    def fail(_pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        if step == 3:
            raise KeyboardInterrupt
        return {}

    plan = replace(every_plan(anatomy)["hgc"], verification=ALWAYS)
    with pytest.raises(KeyboardInterrupt), cached(pipe, plan) as run:
        tiny.latents(pipe, callback_on_step_end=fail)
    assert any(cell.reason.startswith("verification") for cell in run.trace.each())


def test_a_plan_without_a_check_is_the_json_it_was(anatomy: Anatomy) -> None:
    plan = every_plan(anatomy)["hgc"]
    assert "verification" not in plan.as_dict()
    checked = replace(plan, verification=Verification(0.2))
    assert checked.digest != plan.digest
    assert Plan.from_json(checked.to_json()) == checked


@pytest.mark.parametrize("threshold", [-0.1, 10, float("nan"), "high", None])
def test_strange_thresholds_are_refused(threshold: Any) -> None:
    with pytest.raises(PlanRefused, match="verification threshold"):
        Verification(threshold)
