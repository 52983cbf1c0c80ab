"""The parts of the engine that stand alone: traces, the feature store, forecasts, the gate, replaced forwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tiny
import torch
from torch import nn

from hgc.cache import schedules
from hgc.cache.anatomy import Kind, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.sites import Networks
from hgc.cache.rules import Gate
from hgc.cache.running.engine import cached
from hgc.cache.running.gate import ChangeGate
from hgc.cache.running.patching import replaced_forwards
from hgc.cache.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    pipe = tiny.control_pipeline()
    anatomy = measure(Networks.of(pipe), (16, 16), 16, model="tiny")
    with cached(pipe, schedules.HGC(lambda_inter=0.5).plan(anatomy, 6), timed=True) as run:
        tiny.latents(pipe)
    return run.trace


def test_a_trace_survives_json(trace: Trace) -> None:
    again = Trace.from_json(trace.to_json())
    assert again == trace
    assert again.digest == trace.digest


def test_the_digest_is_of_what_was_executed_not_of_how_long_it_took(trace: Trace) -> None:
    data = json.loads(trace.to_json())
    data["step_ms"] = [1.0] * 6
    assert Trace.from_json(json.dumps(data)).digest == trace.digest
    first = trace.sites[0].name
    data["cells"][first][5]["state"] = State.ABSENT
    assert Trace.from_json(json.dumps(data)).digest != trace.digest


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": 3}'])
def test_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a trace"):
        Trace.from_json(text)


def test_hits_and_misses_are_the_attention_cells(trace: Trace) -> None:
    rows = [trace.cells[site.name] for site in trace.sites if site.kind is Kind.CROSS_ATTENTION]
    states = [cell.state for row in rows for cell in row]
    assert trace.attention_hits == states.count(State.REUSED) > 0
    assert trace.attention_misses == states.count(State.COMPUTED) > 0


def test_every_cell_has_a_reason_and_kept_ones_an_age(trace: Trace) -> None:
    for cell in trace.each():
        assert cell.reason
        assert (cell.age or 0) > 0 if cell.state in (State.REUSED, State.FORECAST) else not cell.age
        assert (cell.macs_full > 0) <= (cell.state is State.COMPUTED)


def test_times_are_of_computed_cells_and_sum_to_no_more_than_the_step(trace: Trace) -> None:
    tops = [site.name for site in trace.sites if site.parent is None]
    for step in range(trace.steps):
        inside = sum(trace.cells[name][step].latency_ms for name in tops)
        assert 0 < inside <= trace.step_ms[step]


def test_the_gate_predicts_the_features_change_from_the_inputs() -> None:
    """The feature moves three times as far as the input, so that input moves of 0.1, 0.2 and 0.1 are 1.2 of its 1.3."""
    gate = ChangeGate(Gate(0.8))
    x, f = torch.ones(4), torch.ones(4)
    gate.see_input(x)
    gate.see_feature(f)
    gate.see_input(x * 1.1)
    gate.see_feature(f * 1.3)
    assert gate.rate == pytest.approx(3, rel=1e-3)
    fired = []
    for place in (1.2, 1.0, 1.1):
        gate.see_input(x * place)
        fired.append(gate.decide()[0])
    assert gate.expected == pytest.approx(1.2 / 1.3, rel=1e-3)
    assert fired == [False, False, True]


def test_a_gate_refreshes_no_more_often_than_it_may() -> None:
    gate = ChangeGate(Gate(1e-6, most=2))
    fired = []
    for step in range(5):
        gate.see_input(torch.full((4,), 1.1**step))
        fired.append(gate.decide()[0])
        if fired[-1]:
            gate.see_feature(torch.full((4,), 1.2**step))
    assert fired == [True, True, False, False, False]


def test_a_gate_waits_no_longer_than_it_may() -> None:
    gate = ChangeGate(Gate(9.0, longest=2))
    still = torch.ones(4)
    for _ in range(2):
        gate.see_input(still * (1 + 0.01 * torch.rand(4)))
        gate.see_feature(still)
    assert [gate.decide()[0] for _ in range(3)] == [False, False, True]


def test_a_forward_that_stood_on_the_module_before_comes_back() -> None:
    module = nn.Linear(2, 2)

    def hooked(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    module.forward = hooked  # what accelerate's offload hooks do
    before = dict(vars(module))

    def double(original: Any, x: torch.Tensor) -> torch.Tensor:
        return 2 * original(x)

    with replaced_forwards({module: double}):
        assert torch.equal(module(torch.zeros(2)), torch.full((2,), 2.0))
    assert vars(module) == before
    assert torch.equal(module(torch.zeros(2)), torch.ones(2))
