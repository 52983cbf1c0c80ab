"""The parts of the engine that stand alone: traces, the feature store, forecasts, the gate, replaced forwards."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hgc.cache import schedules
from hgc.cache.anatomy import Kind, State
from hgc.cache.engine import cached
from hgc.cache.forecast import extrapolate, lagrange, relative_l1
from hgc.cache.gate import ChangeGate
from hgc.cache.macs import measure
from hgc.cache.patching import replaced_forwards
from hgc.cache.plan import Gate, PlanRefused
from hgc.cache.sites import Networks
from hgc.cache.store import Store
from hgc.cache.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    pipe = tiny.control_pipeline()
    anatomy = measure(Networks.of(pipe), (16, 16), 16, model="tiny")
    with cached(pipe, schedules.hgc(anatomy, 6, lambda_inter=0.5)) as run:
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


@given(st.lists(st.integers(0, 40), min_size=2, max_size=4, unique=True), st.integers(0, 60))
def test_extrapolation_is_exact_on_polynomials(steps: list[int], at: int) -> None:
    coefficients = [0.3, -1.2, 0.05, 0.002][: len(steps)]
    values = [torch.tensor(np.polyval(coefficients[::-1], step)) for step in sorted(steps)]
    wanted = np.polyval(coefficients[::-1], at)
    assert float(extrapolate(sorted(steps), values, at)) == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert sum(lagrange(sorted(steps), at)) == pytest.approx(1, abs=1e-6)


def test_one_value_repeats() -> None:
    value = torch.randn(3)
    assert extrapolate([4], [value], 9) is value


def test_relative_l1_is_the_papers() -> None:
    old, new = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([1.5, -2.0, 2.0])
    assert float(relative_l1(new, old)) == pytest.approx(1.5 / 6)


def test_a_value_of_both_branches_serves_one_and_two_half_values_make_a_whole() -> None:
    store, shape = Store(), (2, 3)
    first, second = torch.arange(6.0).reshape(2, 3), torch.full((1, 3), 9.0)
    store.keep(("a", 0), first, 0, 2, depth=1)
    assert torch.equal(store.read(("a", 0), 1, 1, (1, 3), 0), first[1:])
    store.keep(("a", 0), second, 1, 1, depth=1)
    assert torch.equal(store.read(("a", 0), 2, 2, shape, 0), torch.cat([first[:1], second]))
    assert torch.equal(store.read(("a", 0), 2, 1, (1, 3), 0), second)


def test_the_store_lets_go_of_what_no_branch_needs() -> None:
    store, value = Store(), torch.zeros(2, 4)
    for step in range(5):
        store.keep(("a", 0), value, step, 2, depth=1)
    assert store.peak_bytes == value.numel() * 4
    store.keep(("b", 0), value, 0, 2, depth=1)
    assert store.peak_bytes == 2 * value.numel() * 4


def test_a_value_that_no_longer_fits_names_site_step_and_both_shapes() -> None:
    store = Store()
    store.keep(("mid", 0), torch.zeros(2, 8), 3, 2, depth=1)
    with pytest.raises(PlanRefused, match=r"site 'mid', step 5: kept \(2, 8\), needs \(2, 4\)"):
        store.read(("mid", 0), 5, 2, (2, 4), 0)
    with pytest.raises(PlanRefused, match="site 'top', step 5: nothing is kept"):
        store.read(("top", 0), 5, 2, (2, 4), 0)


def test_the_gate_predicts_the_features_change_from_the_inputs() -> None:
    """The feature moves three times as far as the input, so that three input moves of 0.1 are a change of 0.9."""
    gate = ChangeGate(Gate(0.8))
    x, f = torch.ones(4), torch.ones(4)
    gate.see_input(x)
    gate.see_feature(f)
    gate.see_input(x * 1.1)
    gate.see_feature(f * 1.3)
    assert gate.gain == pytest.approx(3, rel=1e-3)
    fired = []
    for power in (2, 3, 4):
        gate.see_input(x * 1.1**power)
        fired.append(gate.decide()[0])
    assert gate.expected == pytest.approx(0.9, rel=1e-3)
    assert fired == [False, False, True]


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
