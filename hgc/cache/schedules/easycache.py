"""EasyCache (arXiv 2507.02860): whole predictions are kept until the change expected of them passes a threshold.

As published, code included: the first `warm` steps and the last are computed; in between, a step is computed where the
expected change (hgc.cache.running.gate has the formula), added up since the last one, reaches `threshold`. A step that
is not takes its input plus the last difference of output and input. Decisions are made on the guided branch, for both.

Ours is the bound `most` on the steps computed in between, without which no budget could be promised.
"""

from __future__ import annotations

from collections.abc import Sequence

from hgc.cache.anatomy import PREDICTION, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import RESIDUAL, Gate, PlanRefused
from hgc.cache.schedules.rows import constants, keep_between

WARM_SHARE = 0.2  # 10 of 50 steps as released
HALVINGS = 40


def easycache(
    anatomy: Anatomy, steps: int, *, threshold: float = 0.05, warm: int | None = None, most: int | None = None
) -> Plan:
    """Decides while running from step `warm` (by default a fifth of all) to the last but one.

    With `most` 0 nothing is decided and the last step is kept as well. Raises PlanRefused for values out of range.
    """
    warm = max(2, round(WARM_SHARE * steps)) if warm is None else warm
    if warm < 1:
        raise PlanRefused(f"warm {warm}: at least 1 step is computed first")
    keys = [*range(min(warm, steps)), *([] if most == 0 else [steps - 1])]
    gate = None if most == 0 else Gate(threshold, longest=steps, most=most)
    rows = constants(anatomy, steps) | {PREDICTION: keep_between(steps, keys, RESIDUAL)}
    origin = Origin("easycache", {"threshold": threshold, "warm": warm, "most": most})
    return Plan(origin, steps, anatomy.model, rows, forecasts={PREDICTION: RESIDUAL}, gate=gate)


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
