"""From a wanted share of full compute to a method's own settings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from hgc.cache.anatomy import Anatomy
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.hgc import hgc, late_gate
from hgc.cache.schedules.plain import full

ROUNDING = 1e-9
T = TypeVar("T")
Off = tuple[frozenset[str], ...]


class OutOfReach(PlanRefused):
    """A budget below what a method costs at least; `nearest` is that share of full compute."""

    def __init__(self, message: str, nearest: float) -> None:
        super().__init__(message)
        self.nearest = nearest


@dataclass(frozen=True)
class Density:
    """How much an HGC plan computes: the share of key steps and the step at which the branches fuse."""

    lambda_inter: float
    gate_step: int


def most_within(share: float, choices: Sequence[T], cost: Callable[[T], float]) -> T:
    """The choice of most compute that costs at most `share`; `choices` run from the most compute to the least.

    Raises OutOfReach when even the last costs more.
    """
    if (least := cost(choices[-1])) > share + ROUNDING:
        raise OutOfReach(f"budget {share:.0%}: the cheapest plan costs {least:.1%} of full compute; choose more", least)
    return choices[bisect_left(choices, True, key=lambda choice: cost(choice) <= share + ROUNDING)]


@lru_cache(maxsize=256)
def under_budget(
    anatomy: Anatomy, steps: int, share: float, *, guidance: bool = True, off: Off | None = None, **settings: Any
) -> Density:
    """The density of most compute whose HGC plan stays within `share` of the full paper-convention MACs.

    Both are counted with two branches, or with one where guidance is off; `off[i]` names the ControlNets that are off
    in step i. `settings` go to `hgc`. Raises OutOfReach when even the cheapest plan costs more, PlanRefused for a
    single step.
    """
    if steps < 2:
        raise PlanRefused(f"steps {steps}: a cache needs at least 2")
    whole = plan_macs(full(anatomy, steps), anatomy, guidance=guidance, off=off).paper

    def cost(density: Density) -> float:
        plan = hgc(anatomy, steps, lambda_inter=density.lambda_inter, gate_step=density.gate_step, **settings)
        return plan_macs(plan, anatomy, guidance=guidance, off=off).paper / whole

    gates = ladder(steps, guidance=guidance)
    most_within(share, gates[0], cost)  # the earliest gate reaches lowest
    densities = [most_within(share, rungs, cost) for rungs in gates if cost(rungs[-1]) <= share + ROUNDING]
    return max(densities, key=cost)


def ladder(steps: int, *, guidance: bool = True) -> list[list[Density]]:
    """For each gate, late and a little later, the densities from the whole to the cheapest: ever fewer key steps.

    Without guidance there is nothing to fuse, and only the key steps differ.
    """
    late = late_gate(steps)
    gates = [gate for gate in range(late, late + 3) if gate < steps] or [late]
    counts = range(steps, 1, -1)
    return [[Density(count / steps, gate) for count in counts] for gate in (gates if guidance else gates[:1])]
