"""MagCache (arXiv 2506.09045): whole predictions are kept while residuals' magnitudes say that the error is small.

As published, code included: the residual is the difference of the network's output and input; `magnitudes` has for
each step the mean ratio of its residual's magnitude to that of the step before, measured beforehand. After k steps kept
the error is |1 - product of these k ratios|; the errors add up. A step is computed when the sum passes `threshold`, or
after `longest` steps kept in a row; the first share `retention` of steps always is. A step that is kept takes its input
plus the last residual. The paper measures one run; ours are means over the calibration's scenes, of the guided branch.
"""

from __future__ import annotations

from collections.abc import Sequence

from hgc.cache.anatomy import PREDICTION, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import RESIDUAL, PlanRefused
from hgc.cache.schedules.rows import constants, in_range, keep_between


def magcache(
    anatomy: Anatomy,
    magnitudes: Sequence[float],
    *,
    threshold: float = 0.12,
    longest: int = 2,
    retention: float = 0.2,
) -> Plan:
    """Computes `steps_by_magnitude` and keeps whole predictions in between. Raises PlanRefused."""
    steps = len(magnitudes)
    keys = steps_by_magnitude(magnitudes, threshold, longest, retention)
    rows = constants(anatomy, steps) | {PREDICTION: keep_between(steps, keys, RESIDUAL)}
    origin = Origin("magcache", {"threshold": threshold, "longest": longest, "retention": retention})
    return Plan(origin, steps, anatomy.model, rows, forecasts={PREDICTION: RESIDUAL})


def steps_by_magnitude(
    magnitudes: Sequence[float], threshold: float, longest: int, retention: float
) -> tuple[int, ...]:
    """The steps that are computed. Raises PlanRefused for values out of range."""
    in_range("threshold", threshold, 0, 100)
    in_range("retention", retention, 0, 1)
    if longest < 1:
        raise PlanRefused(f"longest {longest}: at least 1 step is kept in a row")
    steps = len(magnitudes)
    keys = list(range(max(1, int(retention * steps + 0.5))))
    product, error, waited = 1.0, 0.0, 0
    for step in range(len(keys), steps):
        product, waited = product * magnitudes[step], waited + 1
        error += abs(1 - product)
        if error > threshold or waited > longest:
            keys.append(step)
            product, error, waited = 1.0, 0.0, 0
    return tuple(keys)
