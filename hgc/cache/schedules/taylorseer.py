"""TaylorSeer (arXiv 2503.06923): the last feature is forecast by a Taylor series of finite differences, as published.

The i-th difference is that of the two newest (i-1)-th ones over the distance of the two newest computed steps; the
forecast adds differences / i! times the distance to the i-th power. Where our `taylor` of order 2 is the parabola
through the last three values, this leaves out half of a second difference. The paper keeps every layer of a
transformer; kept here is what enters the UNet's output layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np

from hgc.cache.anatomy import Anatomy
from hgc.cache.bases import differences
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.rows import constants, cut_site, keep_between
from hgc.cache.schedules.spectrum import weighed

ORDERS = (1, 2, 3)


def taylorseer(anatomy: Anatomy, steps: int, *, interval: int = 3, order: int = 1, warm: int = 3) -> Plan:
    """Computes the first `warm` steps and every `interval`-th after them. Raises PlanRefused."""
    if order not in ORDERS:
        raise PlanRefused(f"order {order}: choose 1, 2 or 3")
    if interval < 1 or warm < 1:
        raise PlanRefused(f"interval {interval} and warm {warm}: both at least 1")
    keys = (*range(min(warm, steps)), *range(warm - 1 + interval, steps, interval))
    forecast = weighed(steps, keys, lambda past, at: series(past, at, order))
    last = cut_site(anatomy, 0)
    rows = constants(anatomy, steps) | {last: keep_between(steps, keys, forecast)}
    origin = Origin("taylorseer", {"interval": interval, "order": order, "warm": warm})
    return Plan(origin, steps, anatomy.model, rows, forecasts={last: forecast})


def series(past: Sequence[int], at: int, order: int) -> list[float]:
    """Weights of the values at `past`, oldest first, in the series; fewer values than order + 1 give a lower order."""
    total = np.zeros(len(past))
    recent = past[-order - 1 :]
    for i, difference in enumerate(differences(recent)):
        total[-len(recent) :] += difference * (at - past[-1]) ** i / factorial(i)
    return [float(weight) for weight in total]
