"""From a wanted share of full compute to a method's own settings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from hgc.cache.anatomy import Anatomy
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.hgc import HGC
from hgc.cache.schedules.plain import full

ROUNDING = 1e-9
T = TypeVar("T")
Off = tuple[frozenset[str], ...]


class OutOfReach(PlanRefused):
    """A budget below what a method costs at least; `nearest` is that share of full compute."""

    def __init__(self, message: str, nearest: float) -> None:
        super().__init__(message)
        self.nearest = nearest


def most_within(share: float, choices: Sequence[T], cost: Callable[[T], float]) -> T:
    """The choice of most compute that costs at most `share`; `choices` run from the most compute to the least.

    Raises OutOfReach when even the last costs more.
    """
    if (least := cost(choices[-1])) > share + ROUNDING:
        raise OutOfReach(f"budget {share:.0%}: the cheapest plan costs {least:.1%} of full compute; choose more", least)
    return choices[bisect_left(choices, True, key=lambda choice: cost(choice) <= share + ROUNDING)]


@lru_cache(maxsize=256)
def under_budget(
    anatomy: Anatomy,
    steps: int,
    share: float,
    settings: HGC,
    *,
    guidance: bool = True,
    off: Off | None = None,
    first_control_step: int = 0,
) -> HGC:
    """The settings with the key steps and the gate of most compute whose plan by timetable stays within `share`.

    That is of the full paper-convention MACs; both are counted with two branches, or with one where guidance is off;
    `off[i]` names the ControlNets that are off in step i. Raises OutOfReach when even the cheapest plan costs more,
    PlanRefused for a single step.
    """
    if steps < 2:
        raise PlanRefused(f"steps {steps}: a cache needs at least 2")
    whole = plan_macs(full(anatomy, steps), anatomy, guidance=guidance, off=off).paper

    def cost(choice: HGC) -> float:
        plan = choice.plan(anatomy, steps, first_control_step=first_control_step)
        return plan_macs(plan, anatomy, guidance=guidance, off=off).paper / whole

    gates = ladder(steps, settings, guidance=guidance)
    most_within(share, gates[0], cost)  # the earliest gate reaches lowest
    choices = [most_within(share, rungs, cost) for rungs in gates if cost(rungs[-1]) <= share + ROUNDING]
    return max(choices, key=cost)


def ladder(steps: int, settings: HGC, *, guidance: bool = True) -> list[list[HGC]]:
    """For the settings' gate and a little later ones, settings of ever fewer key steps, from the whole to the cheapest.

    Without guidance there is nothing to fuse, and only the key steps differ.
    """
    late = settings.gate_step(steps)
    gates = [gate for gate in range(late, late + 3) if gate < steps] or [late]
    counts = range(steps, 1, -1)
    return [
        [replace(settings, lambda_inter=count / steps, gate=gate / steps) for count in counts]
        for gate in (gates if guidance else gates[:1])
    ]
