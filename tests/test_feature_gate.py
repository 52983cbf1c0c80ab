"""HGC's dynamic mode: the gate that goes by a real feature, against its formula and against runs that skip nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from naive import Naive
from replaying import taped
from test_schedules_families import SIZE, off

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.anatomy.macs import NetworkMacs
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import most_macs, plan_macs
from hgc.cache.rules import Gate, PlanRefused, Verification
from hgc.cache.running.engine import cached
from hgc.cache.running.gate import FeatureGate
from hgc.cache.running.run import Run
from hgc.cache.schedules import HGC
from hgc.cache.trace import Trace

STEPS = 5
NEVER, ALWAYS = 9.9, 1e-9


def anatomy_of(pipe: Any, call: Mapping[str, Any]) -> Anatomy:
    networks = Networks.of(pipe, len(call.get("control_mode", "1")))
    return measure(networks, (SIZE // 8, SIZE // 8), tiny.tokenizer().model_max_length, model="small")


def dynamic(anatomy: Anatomy, threshold: float, steps: int = STEPS, **rule: Any) -> Plan:
    return schedules.HGC(lambda_inter=0.4, fine=False, threshold=threshold, **rule).plan(anatomy, steps)


@pytest.mark.parametrize("seed", range(4))
def test_it_decides_by_the_formula_with_hysteresis_and_bounds(seed: int) -> None:
    """Counted again on random walks of features, every number by its own definition."""
    rng = np.random.default_rng(seed)
    high, low, longest, most = 0.3, 0.12, 3, 6
    walk = np.cumsum(rng.normal(0, rng.uniform(0.05, 0.5, (40, 1)), (40, 24)), axis=0) + 1
    gate = FeatureGate(Gate(high, longest, most=most, by="feature", release=low))
    gate.see_feature(torch.from_numpy(walk[0]))
    full, kept, fired, refreshing, decisions = walk[0], 0, 0, False, []
    for now in walk[1:]:
        change = np.abs(now - full).mean() / np.abs(full).mean()
        if fired == most:
            due = False
        elif kept == longest:
            due = True
        else:
            due = bool(change >= (low if refreshing else high))
        if gate.curious:
            gate.look(torch.from_numpy(now))
        assert gate.decide()[0] == due
        decisions.append(due)
        refreshing, kept, fired = due, 0 if due else kept + 1, fired + due
        if due:
            full = now
            gate.see_feature(torch.from_numpy(now))
    assert sum(decisions) == most
    assert gate.meter.reads <= len(decisions)


def test_after_a_refreshed_step_a_smaller_change_is_refreshed_too() -> None:
    fired: dict[float, list[bool]] = {}
    for release in (0.1, 0.3):
        gate = FeatureGate(Gate(0.3, by="feature", release=release))
        gate.see_feature(torch.ones(4))
        fired[release] = []
        for value in (1.2, 1.4, 1.6, 1.65):
            gate.look(torch.full((4,), value))
            fired[release].append(gate.decide()[0])
            if fired[release][-1]:
                gate.see_feature(torch.full((4,), value))
    assert fired == {0.1: [False, True, True, False], 0.3: [False, True, False, False]}


@dataclass
class Calls:
    """What a network was called with in every step; `features` makes these calls again, plainly."""

    net: Any
    given: list[tuple[Any, Any]] = field(default_factory=list)

    def __call__(self, _net: Any, args: Any, kwargs: Any) -> None:
        self.given.append((args, dict(kwargs)))

    def features(self, site: str) -> list[torch.Tensor]:
        """The guided value of a site in each of these calls, by the module's own forward."""
        seen: list[torch.Tensor] = []
        module = self.net.get_submodule(site.partition(".")[2])
        hook = module.register_forward_hook(
            lambda _m, _args, out: seen.append((out[0] if isinstance(out, tuple) else out)[-1:].detach())
        )
        for args, kwargs in self.given:
            self.net(*args, **kwargs)
        hook.remove()
        return seen


def change(now: torch.Tensor, then: torch.Tensor) -> float:
    return float((now - then).double().abs().mean() / then.double().abs().mean())


@pytest.mark.parametrize("controls", [1, 0], ids=["residual 0", "the first layer"])
def test_a_run_goes_by_the_feature_itself(controls: int) -> None:
    """The features are computed again by the networks' own modules, and the picture is that of the decided plan."""
    pipe, steps = tiny.small_pipeline("sd", "text", controls), 12
    anatomy = anatomy_of(pipe, {})
    cut = schedules.cut_site(anatomy, 1)
    gate = replace(Gate.by_feature(0.1), longest=4)
    plan = replace(dynamic(anatomy, 1.0, steps), gate=gate)
    calls = Calls(pipe.controlnet if controls else pipe.unet)
    hook = calls.net.register_forward_pre_hook(calls, with_kwargs=True)
    with cached(pipe, plan) as run:
        latents = tiny.latents(pipe, steps=steps, size=SIZE)
    hook.remove()
    features, row = calls.features(anatomy.glimpsed), letters(run.trace, cut)
    refreshing, changes = False, []
    for step in range(1, steps):
        if plan.table[cut][step] == "C":
            assert row[step] == "C"
            continue
        full = row[:step].rfind("C")
        changes.append(change(features[step], features[full]))
        due = step - full > gate.longest or changes[-1] >= (gate.low if refreshing else gate.threshold)
        assert (row[step] == "C") == due, (step, row, changes)
        refreshing = due
    assert plan.table[cut].count("C") < row.count("C") < steps, (row, changes)
    table = {
        site: "".join("C" if row[i] == "C" else letter for i, letter in enumerate(own))
        if not anatomy[site].constant
        else own
        for site, own in plan.table.items()
    }
    decided = replace(plan, origin=Origin("decided"), table=table, gate=None)
    expected = Naive(pipe, decided, guidance=True).latents([site.name for site in anatomy], size=SIZE)
    torch.testing.assert_close(latents, expected, rtol=0, atol=5e-5)


def kept(plan: Plan) -> str:
    """The layer that steps in between keep."""
    return next(
        site for site in plan.table if site.startswith(("unet.up_blocks", "unet.mid_block")) and ".attn2" not in site
    )


def letters(trace: Trace, site: str) -> str:
    return "".join(cell.state for cell in trace.cells[site])


# One of each road from a network's call to its first feature.
ROADS = ["SD", "two controls", "guess mode", "inpainting UNet", "IP-Adapter with control", "SDXL with IP-Adapter"]
ROADS += ["SDXL with two maps of a Union", "T2I-adapter"]


@pytest.fixture(scope="module", params=ROADS)
def variety(request: Any) -> tuple[Any, Mapping[str, Any], Anatomy]:
    """A pipeline, what it is called with, and its sites."""
    pipe, call = tiny.VARIETIES[request.param]()
    return pipe, call, anatomy_of(pipe, call)


def executed(variety: Any, plan: Plan, guidance: float = 4.0) -> tuple[Run, torch.Tensor]:
    """Runs a plan; the MACs of its trace are those that its networks' modules were seen to do."""
    pipe, call, _ = variety
    with NetworkMacs(Networks.of(pipe).all) as counted, cached(pipe, plan) as run:
        latents = tiny.latents(pipe, steps=STEPS, size=SIZE, guidance=guidance, **call)
    assert counted.total == run.trace.macs
    return run, latents


@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_a_gate_that_never_fires_follows_the_plan_and_costs_its_looks(variety: Any, guidance: float) -> None:
    _, call, anatomy = variety
    plan = dynamic(anatomy, NEVER)
    settings: dict[str, Any] = {"guidance": guidance > 1, "guess": call.get("guess_mode", False), "off": off(call)}
    run, latents = executed(variety, plan, guidance)
    static, expected = executed(variety, replace(plan, gate=None), guidance)
    assert torch.equal(latents, expected)
    assert run.trace.macs == plan_macs(plan, anatomy, **settings)
    assert run.trace.macs.paper > static.trace.macs.paper
    row = plan.table[kept(plan)]
    assert letters(run.trace, kept(plan)) == letters(static.trace, kept(plan)) == row
    assert all(
        "gate: " in cell.reason for cell, letter in zip(run.trace.cells[kept(plan)], row, strict=True) if letter != "C"
    )


def test_a_gate_that_always_fires_gives_the_plain_picture_and_stays_within_its_bound(variety: Any) -> None:
    pipe, call, anatomy = variety
    _, latents = executed(variety, dynamic(anatomy, ALWAYS))
    assert torch.equal(latents, tiny.latents(pipe, steps=STEPS, size=SIZE, **call))
    once = dynamic(anatomy, ALWAYS, most=1)
    bounded, _ = executed(variety, once)
    row = letters(bounded.trace, kept(once))
    assert row.count("C") == once.table[kept(once)].count("C") + 1
    if not call.get("guess_mode"):
        bound = most_macs(once, anatomy, off=off(call))
        assert plan_macs(once, anatomy, off=off(call)).paper < bounded.trace.macs.paper <= bound.paper


@pytest.mark.parametrize("verified", [False, True])
def test_recorded_rows_are_decided_between_by_one_number_a_step(verified: bool) -> None:
    pipe = tiny.small_pipeline("sd", "text", 1)
    recordings, _ = taped()
    plan = dynamic(anatomy_of(pipe, {}), 0.05, 8)
    plan = replace(plan, verification=Verification(0.5) if verified else None)
    for seed in range(4):
        runs = []
        for graphs in (False, recordings):
            with cached(pipe, plan, graphs=graphs) as run:
                runs.append((tiny.latents(pipe, steps=8, size=SIZE, seed=seed), run))
        (eager, one), (recorded, other) = runs
        assert torch.equal(eager, recorded)
        rows = [
            [(c.state, c.reason, c.macs_full) for row in run.trace.cells.values() for c in row] for run in (one, other)
        ]
        assert rows[0] == rows[1]
        undecided = sum(letter != "C" for letter in plan.table[kept(plan)])
        assert 0 < other.reads <= undecided
    assert other.trace.replays is not None
    assert other.trace.replays.steps.count("replayed") >= 4


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"threshold": 0.0}, "gate threshold 0.0: choose a relative change between 0 and 10"),
        ({"threshold": float("nan")}, "gate threshold nan"),
        ({"threshold": 0.2, "by": "magic"}, "gate by 'magic': choose 'feature'"),
        ({"threshold": 0.2, "release": 0.1}, "gate release 0.1: only a gate by feature has one"),
        ({"threshold": 0.2, "by": "feature", "release": 0.3}, "above 0, at most the threshold 0.2"),
        ({"threshold": 0.2, "by": "feature", "release": float("nan")}, "gate release nan"),
        ({"threshold": 0.2, "by": "feature", "most": 0}, "gate most 0: at least 1"),
    ],
)
def test_thresholds_out_of_range_are_refused_in_a_sentence(rule: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(PlanRefused, match=sentence):
        Gate(**rule)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threshold": 0.2, "release": 0.3}, "release 0.3 must not be above the threshold 0.2"),
        ({"release": 0.3}, "give a threshold"),
        ({"most": 3}, "give a threshold"),
        ({"threshold": 0.2, "most": 0}, "most 0"),
    ],
)
def test_a_form_that_contradicts_itself_is_refused(settings: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(PlanRefused, match=sentence):
        HGC(**settings)


def test_a_dynamic_plan_is_read_as_it_was_written() -> None:
    pipe = tiny.small_pipeline("sd", "text", 1)
    plan = dynamic(anatomy_of(pipe, {}), 0.2, release=0.15, most=2)
    assert plan.gate == Gate(0.2, most=2, by="feature", release=0.15)
    assert Plan.from_json(plan.to_json()) == plan
