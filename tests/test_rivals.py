"""Spectrum and TaylorSeer as published, their formulas against references of their own."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.anatomy.macs import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import PlanRefused
from hgc.cache.rehearsal import rehearse
from hgc.cache.schedules.spectrum import ridge_weights
from hgc.cache.schedules.taylorseer import series

STEPS = 20


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


@pytest.mark.parametrize("method", [schedules.spectrum, schedules.taylorseer])
def test_plans_run_and_forecast_the_last_feature_between_computed_steps(anatomy: Anatomy, method: Any) -> None:
    plan = method(anatomy, STEPS)
    rehearse(plan, anatomy)
    row = plan.table[schedules.cut_site(anatomy, 0)]
    assert {"C", "F"} == set(row)
    for entry in plan.forecasts[schedules.cut_site(anatomy, 0)].weighings or ():
        assert entry.steps == tuple(step for step in range(entry.at) if row[step] == "C")


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (schedules.spectrum, {"degree": 0}),
        (schedules.spectrum, {"degree": 9}),
        (schedules.spectrum, {"ridge": 0.0}),
        (schedules.spectrum, {"warm": 0}),
        (schedules.spectrum, {"window": 0.5}),
        (schedules.spectrum, {"growth": -1.0}),
        (schedules.spectrum, {"blend": 1.5}),
        (schedules.taylorseer, {"order": 4}),
        (schedules.taylorseer, {"interval": 0}),
        (schedules.taylorseer, {"warm": 0}),
    ],
)
def test_settings_out_of_range_are_refused(anatomy: Anatomy, method: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused, match=str(next(iter(settings)))):
        method(anatomy, STEPS, **settings)
