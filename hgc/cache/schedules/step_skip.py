"""The whole prediction kept between steps (after TeaCache, arXiv 2411.19108); EasyCache has a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import LINE, ForecastRule, Gate
from hgc.cache.schedules.rows import constants, keep_between
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class StepSkip(Settings):
    """Computes the key steps and goes on from them in between; both papers repeat, a line is ours.

    With `threshold` the steps in between are decided while running: the change expected of the prediction adds up, and
    at the threshold, or after `longest` steps, a step is computed. With `per_branch` the guidance difference has a sum
    of its own, so that the guided branch may be refreshed alone.
    """

    keys: tuple[int, ...] = (0, 1)
    forecast: ForecastRule = LINE
    threshold: Annotated[float, Interval(gt=0, lt=10)] | None = None
    longest: Annotated[int, Interval(ge=1)] = 6
    per_branch: bool = False

    def plan(self, anatomy: Anatomy, steps: int) -> Plan:
        row = keep_between(steps, self.keys, self.forecast)
        rows = constants(anatomy, steps) | {PREDICTION: row} | ({UNGUIDED: row} if self.per_branch else {})
        gate = None if self.threshold is None else Gate(self.threshold, self.longest, self.per_branch)
        origin = Origin("step_skip", self.knobs)
        return Plan(origin, steps, anatomy.model, rows, forecast=self.forecast, gate=gate)
