"""Forecasts as weights of past values: whatever the basis, the forecast is linear in them. Pure numbers, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np
from numpy.polynomial import chebyshev

from hgc.cache.rules import ForecastRule, PlanRefused

CONTRACTION = 0.5  # HiCache's sigma, as released


def weights(forecast: ForecastRule, steps: Sequence[int], at: int) -> list[float]:
    """The weight of each value computed at `steps` (distinct, oldest first) in the forecast of step `at`.

    At most the last `forecast.depth` values count, so that there may be fewer weights than steps; they sum to 1 unless
    they were fitted. Raises PlanRefused when fewer than `forecast.least` are given.
    """
    if len(steps) < forecast.least:
        raise PlanRefused(f"forecast '{forecast.basis}': {len(steps)} past values, needs {forecast.least}")
    if forecast.weighings is not None:
        return list(forecast.weighing(at, steps).weights)
    steps = steps[-forecast.depth :]
    if forecast.basis == "chebyshev":
        return nearest(steps, at, min(forecast.order, len(steps) - 1))
    if forecast.basis == "hermite":
        return contracted(steps, at)
    return lagrange(steps, at)


def lagrange(steps: Sequence[int], at: int) -> list[float]:
    """Weights of the values at `steps` in the polynomial through all of them, read at `at`.

    Taylor forecasting with finite differences (TaylorSeer) is this polynomial at order 1; at order 2 TaylorSeer leaves
    out half of a second difference, so that its parabola passes by the oldest value where this one meets it.
    """
    factors = []
    for i, own in enumerate(steps):
        weight = 1.0
        for j, other in enumerate(steps):
            if i != j:
                weight *= (at - other) / (own - other)
        factors.append(weight)
    return factors


def nearest(steps: Sequence[int], at: int, degree: int) -> list[float]:
    """Weights of the least-squares polynomial of that degree in Chebyshev's basis, the steps mapped to -1..1."""
    first, last = steps[0], steps[-1]
    places = [2 * (step - first) / (last - first) - 1 for step in (*steps, at)]
    basis = chebyshev.chebvander(np.array(places), degree)  # [steps + 1, degree + 1]
    return [float(weight) for weight in basis[-1] @ np.linalg.pinv(basis[:-1])]


def contracted(steps: Sequence[int], at: int) -> list[float]:
    """Weights of HiCache's forecast: the last value plus its differences on Hermite polynomials, contracted by sigma.

    F + sum over k of D_k / k! * sigma^k H_k(sigma x), x the steps since the last value, H_k the physicists' Hermite
    polynomials, D_k the k-th difference, each divided by the distance of the last two steps it spans.
    """
    x = CONTRACTION * (at - steps[-1])
    hermite = [1.0, 2 * x, 4 * x * x - 2]
    total = np.zeros(len(steps))
    for k, difference in enumerate(differences(steps)):
        total += difference * CONTRACTION**k * hermite[k] / factorial(k)
    return [float(weight) for weight in total]


def differences(steps: Sequence[int]) -> list[np.ndarray]:
    """The newest difference of each order, as weights of the values; orders 0 to len(steps) - 1."""
    rows = list(np.eye(len(steps)))
    newest = [rows[-1]]
    while len(rows) > 1:
        gaps = [b - a for a, b in zip(steps[-len(rows) : -1], steps[-len(rows) + 1 :], strict=True)]
        rows = [(new - old) / gap for old, new, gap in zip(rows[:-1], rows[1:], gaps, strict=True)]
        newest.append(rows[-1])
    return newest
