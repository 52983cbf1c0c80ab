"""Every method on every family, with ControlNet and without: it costs what is planned, and it keeps something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import made_up
import pytest
import tiny

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Macs
from hgc.cache.engine import cached
from hgc.cache.macs import MacCounter, measure
from hgc.cache.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import Forecast

STEPS = 5
KEYS = (0, 1, 3)
METHODS: dict[str, Callable[[Anatomy], Plan]] = {
    "hgc": lambda a: schedules.hgc(a, STEPS, lambda_inter=0.5),
    "hgc at measured key steps": lambda a: schedules.hgc(
        a, STEPS, keys=schedules.key_steps_from(made_up.curves(a, STEPS), 3)
    ),
    "block caching": lambda a: schedules.block_caching(a, STEPS, made_up.curves(a, STEPS), delta=0.3),
    "block caching inside": lambda a: schedules.block_caching(
        a, STEPS, made_up.curves(a, STEPS), delta=0.3, kinds=schedules.ADDED
    ),
    "deepcache": lambda a: schedules.deepcache(a, STEPS, interval=2, forecast=Forecast("chebyshev", window=3)),
    "tgate": lambda a: schedules.tgate(a, STEPS, gate_step=3, self_every_before=2, self_every_after=2, warm=0),
    "encoder propagation": lambda a: schedules.encoder_propagation(a, STEPS, keys=KEYS),
    "guidance reuse": lambda a: schedules.guidance_reuse(a, STEPS, keys=KEYS, alpha_low=0.2, alpha_high=0.2),
    "step skip": lambda a: schedules.step_skip(a, STEPS, keys=KEYS, per_branch=True),
}


@pytest.fixture(scope="module", params=[("sd", True), ("sdxl", True), ("sdxl", False)], ids=str)
def pipe(request: Any) -> Any:
    family, control = request.param
    return tiny.small_pipeline(family, "text", control)


@pytest.fixture(scope="module")
def anatomy(pipe: Any) -> Anatomy:
    return measure(Networks.of(pipe), (16, 16), tiny.tokenizer().model_max_length, model="small")


def executed(pipe: Any, plan: Plan, guidance: float) -> tuple[Macs, Any]:
    with MacCounter() as counter, cached(pipe, plan) as run:
        tiny.latents(pipe, steps=STEPS, guidance=guidance)
    return counter.total, run


@pytest.fixture(scope="module", params=[4.0, 1.0], ids=["guided", "unguided"])
def around(request: Any, pipe: Any, anatomy: Anatomy) -> tuple[float, Macs]:
    """The guidance scale and what the pipeline executes outside the denoiser."""
    plan = schedules.full(anatomy, STEPS)
    total, _ = executed(pipe, plan, request.param)
    return request.param, total - plan_macs(plan, anatomy, guidance=request.param > 1)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_costs_what_is_planned(pipe: Any, anatomy: Anatomy, around: Any, name: str) -> None:
    guidance, outside = around
    plan = METHODS[name](anatomy)
    total, run = executed(pipe, plan, guidance)
    planned = plan_macs(plan, anatomy, guidance=guidance > 1)
    assert total - outside == planned == run.trace.macs
    if name != "guidance reuse" or guidance > 1:
        assert planned.full < plan_macs(schedules.full(anatomy, STEPS), anatomy, guidance=guidance > 1).full
        assert not run.trace.nothing_reused
