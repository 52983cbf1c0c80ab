"""Rivals as published, their formulas against references of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import factorial
from typing import Any

import made_up
import numpy as np
import pytest
import tiny
import torch
from naive import Naive

from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, Anatomy, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rehearsal import check, plan_macs, rehearse
from hgc.cache.rules import RESIDUAL, Gate
from hgc.cache.running.engine import cached
from hgc.cache.schedules.spectrum import ridge_weights
from hgc.cache.schedules.taylorseer import series
from hgc.calibration.magnitudes import Magnitudes

STEPS = 20


def of_ratios(anatomy: Anatomy, steps: int, **settings: Any) -> Plan:
    return schedules.MagCache(**settings).plan(anatomy, made_up.curves(anatomy, steps).magnitudes)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    with torch.device("meta"):
        networks = Networks(tiny.unet(), {"controlnet": tiny.controlnet()})
    return measure(networks, (16, 16), 16, model="tiny")


def test_windows_grow_as_released() -> None:
    """Counted by hand from the released rule: (skipped in a row + 1) modulo the whole part of the window."""
    assert schedules.growing_windows(20, 5, 2.0, 0.75) == (0, 1, 2, 3, 4, 6, 8, 11, 15)
    assert schedules.growing_windows(12, 2, 2.0, 0.0) == (0, 1, 3, 5, 7, 9, 11)
    assert schedules.growing_windows(6, 1, 1.0, 0.0) == tuple(range(6))


@pytest.mark.parametrize("at", [7, 12, 19])
def test_ridge_regression_is_that_of_the_normal_equations(at: int) -> None:
    """By minimising the penalised squares as one stacked least-squares problem, values and all."""
    past, degree, ridge = (0, 1, 2, 3, 6), 4, 0.1
    values = np.random.default_rng(0).normal(size=(len(past), 7))

    def chebyshev(step: int) -> list[float]:
        return [float(np.cos(k * np.arccos(2 * step / STEPS - 1))) for k in range(degree + 1)]

    rows = np.vstack([[chebyshev(step) for step in past], np.sqrt(ridge) * np.eye(degree + 1)])
    stacked = np.vstack([values, np.zeros((degree + 1, 7))])
    coefficients = np.linalg.lstsq(rows, stacked, rcond=None)[0]
    expected = np.array(chebyshev(at)) @ coefficients
    np.testing.assert_allclose(ridge_weights(past, at, STEPS, degree, ridge) @ values, expected, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_series_is_built_of_differences_of_differences(order: int) -> None:
    """As the paper's recursion does, on values and one step after the other."""
    past, at = (0, 1, 2, 5, 8), 10
    values = np.random.default_rng(1).normal(size=(len(past), 3))
    derivatives: list[np.ndarray] = []
    for i, step in enumerate(past):
        before, derivatives = derivatives, [values[i]]
        for k in range(min(order, len(before))):
            derivatives.append((derivatives[k] - before[k]) / (step - past[i - 1]))
    expected = sum(value * (at - past[-1]) ** i / factorial(i) for i, value in enumerate(derivatives))
    np.testing.assert_allclose(series(past, at, order) @ values, expected, atol=1e-10)


@pytest.mark.parametrize("method", [schedules.Spectrum(), schedules.TaylorSeer()])
def test_plans_run_and_forecast_the_last_feature_between_computed_steps(anatomy: Anatomy, method: Any) -> None:
    plan = method.plan(anatomy, STEPS)
    rehearse(plan, anatomy)
    row = plan.table[schedules.cut_site(anatomy, 0)]
    assert {"C", "F"} == set(row)
    for entry in plan.forecasts[schedules.cut_site(anatomy, 0)].weighings or ():
        assert entry.steps == tuple(step for step in range(entry.at) if row[step] == "C")


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (schedules.Spectrum, {"degree": 0}),
        (schedules.Spectrum, {"degree": 9}),
        (schedules.Spectrum, {"ridge": 0.0}),
        (schedules.Spectrum, {"warm": 0}),
        (schedules.Spectrum, {"window": 0.5}),
        (schedules.Spectrum, {"growth": -1.0}),
        (schedules.Spectrum, {"blend": 1.5}),
        (schedules.TaylorSeer, {"order": 4}),
        (schedules.TaylorSeer, {"interval": 0}),
        (schedules.TaylorSeer, {"warm": 0}),
        (schedules.EasyCache, {"warm": 0}),
        (schedules.EasyCache, {"threshold": 0.0}),
        (schedules.EasyCache, {"most": -1}),
        (schedules.MagCache, {"threshold": -0.1}),
        (schedules.MagCache, {"retention": 1.5}),
        (schedules.MagCache, {"longest": 0}),
    ],
)
def test_settings_out_of_range_are_refused(method: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused, match=str(next(iter(settings)))):
        method(**settings)


@dataclass
class Calls:
    """Input and output of every call of a UNet, of the guided branch."""

    inputs: list[torch.Tensor] = field(default_factory=list)
    outputs: list[torch.Tensor] = field(default_factory=list)

    def __call__(self, _unet: Any, args: tuple[Any, ...], out: Any) -> None:
        self.inputs.append(args[0][-1].clone())
        self.outputs.append(out[0][-1].clone())


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.control_pipeline()


@pytest.fixture
def calls(pipe: Any) -> Iterator[Calls]:
    seen = Calls()
    hook = pipe.unet.register_forward_hook(seen)
    yield seen
    hook.remove()


def size(value: torch.Tensor) -> float:
    return float(value.double().abs().mean())


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.4])
def test_easycache_decides_by_the_papers_formula(pipe: Any, anatomy: Anatomy, calls: Calls, threshold: float) -> None:
    """Eq. 4 and 5 on the run's own numbers, one step after the other; what is kept is the input plus the residual."""
    steps, warm = 12, 3
    with cached(pipe, schedules.EasyCache(threshold=threshold, warm=warm).plan(anatomy, steps)) as run:
        latents = tiny.latents(pipe, steps=steps)
    row, x, v = run.trace.cells[PREDICTION], calls.inputs, calls.outputs
    last, rate, expected = 0, 0.0, 0.0
    for step in range(1, steps):
        expected += rate * size(x[step] - x[step - 1]) / size(v[last])
        due = step < warm or step == steps - 1 or expected >= threshold
        assert (row[step].state is State.COMPUTED) == due, step
        if due:
            rate, expected = size(v[step] - v[last]) / size(x[step] - x[last]), 0.0
            last = step
        else:
            torch.testing.assert_close(v[step], x[step] + (v[last] - x[last]))
    computed = [step for step in range(steps) if row[step].state is State.COMPUTED]
    assert warm < len(computed)
    table = {PREDICTION: "".join("C" if step in computed else "F" for step in range(steps))}
    decided = Plan(Origin("decided"), steps, "tiny", schedules.constants(anatomy, steps) | table, forecast=RESIDUAL)
    expected_latents = Naive(pipe, decided, guidance=True).latents([site.name for site in anatomy])
    torch.testing.assert_close(latents, expected_latents, rtol=0, atol=5e-5)


def test_easycache_computes_no_more_than_its_bound(pipe: Any, anatomy: Anatomy) -> None:
    """However low the threshold; its cost is then that of its dearest course."""
    plan = schedules.EasyCache(threshold=1e-6, warm=2, most=3).plan(anatomy, 10)
    assert plan.gate == Gate(1e-6, longest=10, most=3)
    assert plan.dearest.table[PREDICTION] == "CCCCCFFFFC"
    with cached(pipe, plan) as run:
        tiny.latents(pipe, steps=10)
    assert "".join(cell.state for cell in run.trace.cells[PREDICTION]) == "CCCCCFFFFC"
    assert run.trace.macs == plan_macs(plan.dearest, anatomy)


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_the_threshold_is_the_least_that_refreshes_so_few(most: int) -> None:
    """Counted with changes of their own."""
    changes = [0.0, 0.5, *np.random.default_rng(2).uniform(0.05, 0.3, 12)]

    def refreshes(threshold: float) -> int:
        count, total = 0, 0.0
        for change in changes[2:-1]:
            total += change
            if total >= threshold:
                count, total = count + 1, 0.0
        return count

    threshold = schedules.threshold_for(changes, 2, most)
    assert refreshes(threshold) <= most < refreshes(threshold * (1 - 1e-6))


def test_magcache_keeps_steps_by_the_papers_rule() -> None:
    """Counted by hand: errors of k kept steps are |1 - 0.9^k|, added up 0.1, 0.29, 0.561."""
    ratios = (1.0, *(0.9,) * 9)
    assert schedules.MagCache(0.3, 9, 0.2).keys(ratios) == (0, 1, 4, 7)
    assert schedules.MagCache(0.3, 1, 0.2).keys(ratios) == (0, 1, 3, 5, 7, 9)
    assert schedules.MagCache(0.0, 9, 0.0).keys(ratios) == tuple(range(10))
    assert schedules.MagCache(100.0, 9, 0.0).keys(ratios) == (0,)


def test_magnitudes_are_ratios_of_the_residuals_lengths(pipe: Any, calls: Calls) -> None:
    with Magnitudes(pipe.unet) as seen:
        tiny.latents(pipe, steps=5)
    residuals = [v - x for x, v in zip(calls.inputs, calls.outputs, strict=True)]  # [C, h, w]
    lengths = [(residual.double() ** 2).sum(0) ** 0.5 for residual in residuals]
    expected = [1.0, *(float((b / a).mean()) for a, b in pairwise(lengths))]
    assert seen.ratios == pytest.approx(expected, rel=1e-9)
    before = len(seen.ratios)
    tiny.latents(pipe, steps=2)
    assert len(seen.ratios) == before


def test_only_a_whole_prediction_goes_on_beside_the_input(anatomy: Anatomy) -> None:
    site = schedules.cut_site(anatomy, 1)
    with pytest.raises(PlanRefused, match=f"site '{site}': forecast 'residual'"):
        check(Plan(Origin("x"), 3, "tiny", {site: "CFF"}, forecast=RESIDUAL), anatomy, 3)
