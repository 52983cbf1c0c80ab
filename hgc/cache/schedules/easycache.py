"""EasyCache (arXiv 2507.02860): whole predictions are kept until the change expected of them passes a threshold.

As published, code included: the first `warm` steps and the last are computed; in between, a step is computed where the
expected change (hgc.cache.running.gate has the formula), added up since the last one, reaches `threshold`. A step that
is not takes its input plus the last difference of output and input. Decisions are made on the guided branch, for both.

Ours is the bound `most` on the steps computed in between, without which no budget could be promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Interval

from hgc.cache.anatomy import PREDICTION, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import RESIDUAL, Gate
from hgc.cache.schedules.rows import constants, keep_between
from hgc.cache.schedules.settings import Settings

HALVINGS = 40


@dataclass(frozen=True)
class EasyCache(Settings):
    """Decides while running from step `warm` (by default a fifth of all) to the last but one.

    With `most` 0 nothing is decided and the last step is kept as well.
    """

    threshold: Annotated[float, Interval(gt=0, lt=10)] = 0.05
    warm: Annotated[int, Interval(ge=1)] | None = None
    most: Annotated[int, Interval(ge=0)] | None = None

    def plan(self, anatomy: Anatomy, steps: int) -> Plan:
        warm = warm_steps(steps) if self.warm is None else self.warm
        keys = [*range(min(warm, steps)), *([] if self.most == 0 else [steps - 1])]
        gate = None if self.most == 0 else Gate(self.threshold, longest=steps, most=self.most)
        rows = constants(anatomy, steps) | {PREDICTION: keep_between(steps, keys, RESIDUAL)}
        origin = Origin("easycache", replace(self, warm=warm).knobs)
        return Plan(origin, steps, anatomy.model, rows, forecasts={PREDICTION: RESIDUAL}, gate=gate)


def warm_steps(steps: int) -> int:
    """How many steps are computed first: 10 of 50 as released."""
    return max(2, round(0.2 * steps))


def threshold_for(changes: Sequence[float], warm: int, most: int) -> float:
    """The least threshold that `most` steps between the first `warm` and the last reach.

    By the measured relative `changes` of the prediction, one a step.
    """
    low, high = 1e-6, max(sum(changes), 2e-6)
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        if refreshed(changes, warm, middle) <= most:
            high = middle
        else:
            low = middle
    return high


def refreshed(changes: Sequence[float], warm: int, threshold: float) -> int:
    """How many steps between the first `warm` and the last would be computed."""
    count, expected = 0, 0.0
    for change in changes[warm:-1]:
        expected += change
        if expected >= threshold:
            count, expected = count + 1, 0.0
    return count
