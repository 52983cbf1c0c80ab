"""HGC's key steps and gate within a wanted share of full compute, where it goes by the timetable."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from hgc.cache.anatomy import Anatomy
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.budget import ROUNDING, most_within
from hgc.cache.schedules.hgc import HGC
from hgc.cache.schedules.hgc_measured import Off
from hgc.cache.schedules.plain import full


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
