"""The HGC plan of most compute within a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hgc.cache.anatomy import Anatomy
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.hgc import hgc, late_gate
from hgc.cache.schedules.plain import full


@dataclass(frozen=True)
class Density:
    """How much an HGC plan computes: the share of key steps and the step at which the branches fuse."""

    lambda_inter: float
    gate_step: int


def under_budget(anatomy: Anatomy, steps: int, share: float, *, guidance: bool = True, **settings: Any) -> Density:
    """The density of most compute whose HGC plan stays within `share` of the full paper-convention MACs.

    Both are counted with two branches, or with one where guidance is off. `settings` go to `hgc`. Raises PlanRefused
    when even the cheapest plan costs more; it names the nearest share.
    """
    if steps < 2:
        raise PlanRefused(f"steps {steps}: a cache needs at least 2")
    whole = plan_macs(full(anatomy, steps), anatomy, guidance=guidance).paper
    costs = []
    for density in ladder(steps, guidance=guidance):
        plan = hgc(anatomy, steps, lambda_inter=density.lambda_inter, gate_step=density.gate_step, **settings)
        costs.append((plan_macs(plan, anatomy, guidance=guidance).paper / whole, density))
    within = [pair for pair in costs if pair[0] <= share]
    if not within:
        cheapest = min(cost for cost, _ in costs)
        raise PlanRefused(f"budget {share:.0%}: the cheapest plan costs {cheapest:.1%} of full compute; choose more")
    return max(within, key=lambda pair: pair[0])[1]


def ladder(steps: int, *, guidance: bool = True) -> list[Density]:
    """From the cheapest to the whole: more key steps, each with the branches fused late and a little later.

    Without guidance there is nothing to fuse, and only the key steps differ.
    """
    late = late_gate(steps)
    gates = [gate for gate in range(late, late + 3) if gate < steps] or [late]
    return [
        Density(count / steps, gate) for count in range(2, steps + 1) for gate in (gates if guidance else gates[:1])
    ]
