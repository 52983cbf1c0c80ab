"""The whole prediction kept between steps (after TeaCache, arXiv 2411.19108); EasyCache has a file of its own."""

from __future__ import annotations

from collections.abc import Iterable

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import LINE, Forecast, Gate
from hgc.cache.schedules.rows import constants, keep_between


def step_skip(
    anatomy: Anatomy,
    steps: int,
    *,
    keys: Iterable[int] = (0, 1),
    forecast: Forecast = LINE,
    threshold: float | None = None,
    longest: int = 6,
    per_branch: bool = False,
) -> Plan:
    """Computes the key steps and goes on from them in between; both papers repeat, a line is ours.

    With `threshold` the steps in between are decided while running: the change expected of the prediction adds up, and
    at the threshold, or after `longest` steps, a step is computed. With `per_branch` the guidance difference has a sum
    of its own, so that the guided branch may be refreshed alone. Raises PlanRefused for values out of range.
    """
    keys = tuple(keys)
    row = keep_between(steps, keys, forecast)
    rows = constants(anatomy, steps) | {PREDICTION: row} | ({UNGUIDED: row} if per_branch else {})
    gate = None if threshold is None else Gate(threshold, longest, per_branch)
    origin = Origin("step_skip", {"keys": keys, "threshold": threshold, "longest": longest, "per_branch": per_branch})
    return Plan(origin, steps, anatomy.model, rows, forecast=forecast, gate=gate)
