"""MagCache (arXiv 2506.09045): whole predictions are kept while residuals' magnitudes say that the error is small.

As published, code included: the residual is the difference of the network's output and input; `magnitudes` has for
each step the mean ratio of its residual's magnitude to that of the step before, measured beforehand. After k steps kept
the error is |1 - product of these k ratios|; the errors add up. A step is computed when the sum passes `threshold`, or
after `longest` steps kept in a row; the first share `retention` of steps always is. A step that is kept takes its input
plus the last residual. The paper measures one run; ours are means over the calibration's scenes, of the guided branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from hgc.cache.anatomy import PREDICTION, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import RESIDUAL
from hgc.cache.schedules.rows import constants, keep_between
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class MagCache(Settings):
    """Computes the steps of `keys` and keeps whole predictions in between."""

    threshold: Annotated[float, Interval(ge=0, le=100)] = 0.12
    longest: Annotated[int, Interval(ge=1)] = 2
    retention: Annotated[float, Interval(ge=0, le=1)] = 0.2

    def plan(self, anatomy: Anatomy, magnitudes: Sequence[float]) -> Plan:
        """`magnitudes` has an entry for each step."""
        steps = len(magnitudes)
        rows = constants(anatomy, steps) | {PREDICTION: keep_between(steps, self.keys(magnitudes), RESIDUAL)}
        origin = Origin("magcache", self.knobs)
        return Plan(origin, steps, anatomy.model, rows, forecasts={PREDICTION: RESIDUAL})

    def keys(self, magnitudes: Sequence[float]) -> tuple[int, ...]:
        """The steps that are computed."""
        steps = len(magnitudes)
        keys = list(range(max(1, int(self.retention * steps + 0.5))))
        product, error, waited = 1.0, 0.0, 0
        for step in range(len(keys), steps):
            product, waited = product * magnitudes[step], waited + 1
            error += abs(1 - product)
            if error > self.threshold or waited > self.longest:
                keys.append(step)
                product, error, waited = 1.0, 0.0, 0
        return tuple(keys)
