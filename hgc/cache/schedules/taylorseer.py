"""TaylorSeer (arXiv 2503.06923): the last feature is forecast by a Taylor series of finite differences, as published.

The i-th difference is that of the two newest (i-1)-th ones over the distance of the two newest computed steps; the
forecast adds differences / i! times the distance to the i-th power. Where our `taylor` of order 2 is the parabola
through the last three values, this leaves out half of a second difference. The paper keeps every layer of a
transformer; kept here is what enters the UNet's output layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import Annotated

import numpy as np
from annotated_types import Interval

from hgc.cache.anatomy import Anatomy
from hgc.cache.bases import differences
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.schedules.decoder_layers import cut_site
from hgc.cache.schedules.rows import constants, keep_between
from hgc.cache.schedules.settings import Settings
from hgc.cache.schedules.spectrum import weighed


@dataclass(frozen=True)
class TaylorSeer(Settings):
    """Computes the first `warm` steps and every `interval`-th after them."""

    interval: Annotated[int, Interval(ge=1)] = 3
    order: Annotated[int, Interval(ge=1, le=3)] = 1
    warm: Annotated[int, Interval(ge=1)] = 3

    def plan(self, anatomy: Anatomy, steps: int) -> Plan:
        keys = (*range(min(self.warm, steps)), *range(self.warm - 1 + self.interval, steps, self.interval))
        forecast = weighed(steps, keys, lambda past, at: series(past, at, self.order))
        last = cut_site(anatomy, 0)
        rows = constants(anatomy, steps) | {last: keep_between(steps, keys, forecast)}
        return Plan(Origin("taylorseer", self.knobs), steps, anatomy.model, rows, forecasts={last: forecast})


def series(past: Sequence[int], at: int, order: int) -> list[float]:
    """Weights of the values at `past`, oldest first, in the series; fewer values than order + 1 give a lower order."""
    total = np.zeros(len(past))
    recent = past[-order - 1 :]
    for i, difference in enumerate(differences(recent)):
        total[-len(recent) :] += difference * (at - past[-1]) ** i / factorial(i)
    return [float(weight) for weight in total]
