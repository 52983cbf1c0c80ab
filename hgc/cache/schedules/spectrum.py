"""Spectrum (arXiv 2603.01623): the last feature is forecast by Chebyshev polynomials, fitted with ridge regression.

As published, code included: the feature kept is what enters the UNet's output layers; after a warm-up the windows
between computed steps grow; the fit is over all computed steps, with time mapped to -1..1 over the whole run; its
forecast is blended with a local Taylor forecast of order 1 (`blend` 1 is the paper's pure fit, 0.5 what was released
for SDXL). Under ControlNet the released code is not known to run; here its residuals are dead in skipped steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor
from typing import Annotated

import numpy as np
from annotated_types import Interval
from numpy.polynomial import chebyshev

from hgc.cache.anatomy import Anatomy
from hgc.cache.bases import lagrange
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import ForecastRule, Weighing
from hgc.cache.schedules.decoder_layers import cut_site
from hgc.cache.schedules.rows import constants, keep_between
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class Spectrum(Settings):
    """Computes `growing_windows` and forecasts in between."""

    degree: Annotated[int, Interval(ge=1, le=8)] = 4
    ridge: Annotated[float, Interval(ge=1e-6, le=10)] = 0.1
    warm: Annotated[int, Interval(ge=1)] = 5
    window: Annotated[float, Interval(ge=1, le=100)] = 2.0
    growth: Annotated[float, Interval(ge=0, le=100)] = 0.75
    blend: Annotated[float, Interval(ge=0, le=1)] = 0.5

    def plan(self, anatomy: Anatomy, steps: int) -> Plan:
        keys = growing_windows(steps, self.warm, self.window, self.growth)

        def weights(past: Sequence[int], at: int) -> list[float]:
            fitted = np.array(ridge_weights(past, at, steps, self.degree, self.ridge))
            local = np.zeros(len(past))
            local[-2:] = lagrange(past[-2:], at)  # a single value is repeated
            return [float(weight) for weight in self.blend * fitted + (1 - self.blend) * local]

        forecast = weighed(steps, keys, weights)
        last = cut_site(anatomy, 0)
        rows = constants(anatomy, steps) | {last: keep_between(steps, keys, forecast)}
        return Plan(Origin("spectrum", self.knobs), steps, anatomy.model, rows, forecasts={last: forecast})


def growing_windows(steps: int, warm: int, window: float, growth: float) -> tuple[int, ...]:
    """The first `warm` steps, then one in every window, which begins as `window` steps and grows by `growth` each time.

    A window counts as many steps as it has whole ones.
    """
    keys, waited = list(range(min(warm, steps))), 0
    for step in range(warm, steps):
        if (waited + 1) % floor(window) == 0:
            keys.append(step)
            window, waited = window + growth, 0
        else:
            waited += 1
    return tuple(keys)


def ridge_weights(past: Sequence[int], at: int, steps: int, degree: int, ridge: float) -> list[float]:
    """Weights of past values in the ridge fit x*' (X'X + ridge I)^-1 X', X the Chebyshev polynomials of their times."""
    places = np.array([*past, at]) * 2 / steps - 1
    basis = chebyshev.chebvander(places, degree)  # [past + 1, degree + 1]
    held = basis[:-1].T @ basis[:-1] + ridge * np.eye(degree + 1)
    return [float(weight) for weight in basis[-1] @ np.linalg.solve(held, basis[:-1].T)]


def weighed(steps: int, keys: Sequence[int], weights: Callable[[Sequence[int], int], Sequence[float]]) -> ForecastRule:
    """The forecast whose weights of all past key steps are known for every step between them."""
    entries = []
    for step in (step for step in range(steps) if step not in keys):
        past = tuple(key for key in keys if key < step)
        entries.append(Weighing(step, past, tuple(weights(past, step))))
    return ForecastRule("weighted", weighings=tuple(entries)) if entries else ForecastRule("repeat")
