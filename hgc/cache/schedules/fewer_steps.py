"""The opponent of every cache: nothing kept, the solver given fewer steps."""

from __future__ import annotations

from dataclasses import replace

from hgc.cache.anatomy import Anatomy
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.schedules.plain import full


def steps_at_cost(anatomy: Anatomy, plan: Plan, *, guidance: bool = True) -> int:
    """The number of solver steps that costs what the plan costs, rounded up, in the opponent's favour."""
    one = plan_macs(full(anatomy, 1), anatomy, guidance=guidance).paper
    spent = plan_macs(plan, anatomy, guidance=guidance).paper
    return max(1, -(-spent // one))


def fewer_steps(anatomy: Anatomy, plan: Plan, *, guidance: bool = True) -> Plan:
    """Everything computed in as many steps as cost the same as `plan`; the pipeline runs with that number of steps."""
    steps = steps_at_cost(anatomy, plan, guidance=guidance)
    return replace(full(anatomy, steps), name=f"fewer steps: {steps} of {plan.steps}")
