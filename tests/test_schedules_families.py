"""Every method on every variety of networks: it costs what is planned, keeps something, and changes only that.

The last by tests/naive.py, which skips nothing: the same latents, and in every step the sites whose values reach the
prediction, no other, are computed or kept. The methods keep little at a time; `scattered` keeps at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import made_up
import pytest
import tiny
import torch
from naive import Naive

from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy
from hgc.cache.anatomy.macs import NetworkMacs
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import ForecastRule
from hgc.cache.running.engine import cached
from hgc.cache.running.run import Run

STEPS = 5
SIZE = 64
KEYS = (0, 1, 3)


def scattered(anatomy: Anatomy) -> Plan:
    """From the third step on, one site in three is kept."""
    draw = Random(1)
    sites = [site.name for site in anatomy if not site.constant and site.name not in (PREDICTION, UNGUIDED)]
    rows = {name: "CC" + "".join(draw.choices("CRF", (4, 1, 1), k=STEPS - 2)) for name in sites}
    return Plan(
        Origin("scattered"), STEPS, anatomy.model, schedules.constants(anatomy, STEPS) | rows | {UNGUIDED: "CCFCR"}
    )


METHODS: dict[str, Callable[[Anatomy], Plan]] = {
    "hgc": lambda a: schedules.HGC(lambda_inter=0.5).plan(a, STEPS),
    "hgc at measured key steps": lambda a: schedules.HGC().plan(
        a, STEPS, keys=schedules.key_steps_from(made_up.curves(a, STEPS), 3)
    ),
    "hgc by measured similarity": lambda a: schedules.hgc_measured(
        a,
        made_up.Alike(STEPS),
        schedules.HGC(lambda_inter=0.4, lambda_intra=0.2, gate=1 - 1 / STEPS, attention_every=2),
    ),
    "block caching": lambda a: schedules.BlockCaching(delta=0.3).plan(a, STEPS, made_up.curves(a, STEPS)),
    "block caching inside": lambda a: schedules.BlockCaching(delta=0.3, kinds=schedules.ADDED).plan(
        a, STEPS, made_up.curves(a, STEPS)
    ),
    "deepcache": lambda a: schedules.DeepCache(interval=2, forecast=ForecastRule("chebyshev", window=3)).plan(a, STEPS),
    "tgate": lambda a: schedules.TGate(gate_step=3, self_every_before=2, self_every_after=2, warm=0).plan(a, STEPS),
    "encoder propagation": lambda a: schedules.EncoderPropagation(keys=KEYS).plan(a, STEPS),
    "guidance reuse": lambda a: schedules.GuidanceReuse(keys=KEYS, alpha_low=0.2, alpha_high=0.2).plan(a, STEPS),
    "step skip": lambda a: schedules.StepSkip(keys=KEYS, per_branch=True).plan(a, STEPS),
    "magcache": lambda a: schedules.MagCache(threshold=0.05).plan(a, made_up.curves(a, STEPS).magnitudes),
    "spectrum": lambda a: schedules.Spectrum(warm=2).plan(a, STEPS),
    "scattered": scattered,
}


@pytest.fixture(scope="module", params=tiny.VARIETIES)
def variety(request: Any) -> tuple[Any, Mapping[str, Any]]:
    """A pipeline, and what it is called with."""
    return tiny.VARIETIES[request.param]()


@pytest.fixture(scope="module")
def anatomy(variety: Any) -> Anatomy:
    tokens = tiny.tokenizer().model_max_length
    return measure(
        Networks.of(variety[0], len(variety[1].get("control_mode", "1"))), (SIZE // 8, SIZE // 8), tokens, model="small"
    )


def executed(variety: Any, anatomy: Anatomy, plan: Plan, guidance: float) -> tuple[Run, torch.Tensor]:
    """Runs a plan and sees that it costs what is planned, less than full compute."""
    pipe, call = variety
    with NetworkMacs(Networks.of(pipe).all) as counted, cached(pipe, plan) as run:
        latents = tiny.latents(pipe, steps=STEPS, size=SIZE, guidance=guidance, **call)
    settings: dict[str, Any] = {"guidance": guidance > 1, "guess": call.get("guess_mode", False), "off": off(call)}
    planned = plan_macs(plan, anatomy, **settings)
    assert counted.total == planned == run.trace.macs
    if guidance > 1 or set(plan.table) - set(schedules.constants(anatomy, STEPS)) != {UNGUIDED}:
        assert planned.full < plan_macs(schedules.full(anatomy, STEPS), anatomy, **settings).full
        assert not run.trace.nothing_reused
    return run, latents


def off(call: Mapping[str, Any]) -> list[set[str]] | None:
    """The ControlNets that have ended, by step."""
    if "control_guidance_end" not in call:
        return None
    ends = [(f"controlnet.nets.{k}", end) for k, end in enumerate(call["control_guidance_end"])]
    return [{net for net, end in ends if (step + 1) / STEPS > end} for step in range(STEPS)]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_costs_what_is_planned_and_changes_only_what_it_keeps(
    variety: Any, anatomy: Anatomy, name: str
) -> None:
    plan = METHODS[name](anatomy)
    run, latents = executed(variety, anatomy, plan, 4.0)
    naive = Naive(variety[0], plan, guidance=True)
    expected = naive.latents([site.name for site in anatomy], size=SIZE, **variety[1])
    states = {name: "".join(cell.state for cell in row) for name, row in run.trace.cells.items() if name != UNGUIDED}
    assert states == naive.states
    torch.testing.assert_close(latents, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("name", ["hgc", "block caching", "tgate", "step skip", "scattered"])
def test_a_method_costs_what_is_planned_without_guidance(variety: Any, anatomy: Anatomy, name: str) -> None:
    executed(variety, anatomy, METHODS[name](anatomy), 1.0)
