"""Key steps, in which everything is computed anew: at ever wider gaps, or where the measured change adds up."""

from __future__ import annotations

from collections.abc import Iterable

from hgc.cache.anatomy import PREDICTION
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.curves import Curves


def key_steps(steps: int, count: int, *, warm: int = 2, power: float = 1.3) -> tuple[int, ...]:
    """`count` steps, the first `warm` always, the rest spaced ever wider (power 1: evenly).

    Raises PlanRefused when count is not between 1 and steps.
    """
    if not 1 <= count <= steps:
        raise PlanRefused(f"{count} key steps of {steps}: choose between 1 and {steps}")
    warm = min(warm, count)
    chosen = list(range(warm))
    for i in range(count - warm):
        step = round(warm + (steps - warm) * (i / (count - warm)) ** power)
        latest = steps - (count - warm - i)
        chosen.append(min(max(step, chosen[-1] + 1), latest))
    return tuple(chosen)


def checked_keys(steps: int, keys: Iterable[int]) -> tuple[int, ...]:
    """The key steps in order, each once. Raises PlanRefused unless the first step is among them and no later than the
    last."""
    steps_given = tuple(sorted(set(keys)))
    if not steps_given or steps_given[0] != 0 or steps_given[-1] >= steps:
        raise PlanRefused(f"key steps {list(steps_given)}: name steps from 0, always the first, to {steps - 1}")
    return steps_given


def key_steps_from(curves: Curves, count: int, site: str = PREDICTION, *, warm: int = 2) -> tuple[int, ...]:
    """`count` key steps, the first `warm` always, the rest where the change of `site` has added up to equal parts.

    This is our reading of "similarity" in the paper, which gives no formula. Raises PlanRefused when count is not
    between 1 and the curves' steps, or the site was not measured.
    """
    steps, changes = curves.steps, curves.of(site)
    if not 1 <= count <= steps:
        raise PlanRefused(f"{count} key steps of {steps}: choose between 1 and {steps}")
    warm = min(warm, count)
    chosen = list(range(warm))
    for i in range(count - warm):
        left = [(step, change) for step, change in enumerate(changes) if step > chosen[-1]]
        part, gone = sum(change for _, change in left) / (count - warm - i + 1), 0.0
        latest = steps - (count - warm - i)
        for step, change in left:
            gone += change
            if gone >= part or step == latest:
                chosen.append(step)
                break
    return tuple(chosen)
