"""T-GATE (arXiv 2404.02747): text matters early, so that cross-attention and guidance end at a gate."""

from __future__ import annotations

from hgc.cache.anatomy import UNGUIDED, Anatomy, Kind
from hgc.cache.origin import Knobs, Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.rows import Rows, constants, once_control_is_on


def tgate(
    anatomy: Anatomy,
    steps: int,
    *,
    gate_step: int = 10,
    self_every_before: int = 1,
    self_every_after: int = 1,
    warm: int = 2,
    first_control_step: int = 0,
) -> Plan:
    """From `gate_step` on one branch, whose cross-attention stays the mean of both branches' at the step before.

    Self-attention is computed at the steps that `self_every_before` (after `warm` steps) or, beyond the gate,
    `self_every_after` divides, and in the last step before the gate; 1 computes it in every step. The paper's gate
    counts steps from one, ours from zero: both name the first step with one branch. Where the control sets in at
    `first_control_step`, its attention is computed there. Raises PlanRefused for settings out
    of range and for intervals on a network without self-attention.
    """
    if not 1 <= gate_step <= steps:
        raise PlanRefused(f"gate_step {gate_step}: choose between 1 and {steps} ({steps} never gates)")
    for name, every in (("self_every_before", self_every_before), ("self_every_after", self_every_after)):
        if every < 1:
            raise PlanRefused(f"{name} {every}: at least 1 (1 computes self-attention in every step)")
    actions = "C" * gate_step + "R" * (steps - gate_step)
    rows: Rows = constants(anatomy, steps) | {UNGUIDED: actions}
    attention = {site.name: actions for site in anatomy.of(Kind.CROSS_ATTENTION)}
    if max(self_every_before, self_every_after) > 1:
        selves = anatomy.of(Kind.SELF_ATTENTION)
        if not selves:
            raise PlanRefused(f"{anatomy.model} has no self-attention to keep; leave its intervals at 1")
        row = _self_row(steps, gate_step, self_every_before, self_every_after, warm)
        attention |= {site.name: row for site in selves}
    rows |= once_control_is_on(anatomy, attention, first_control_step)
    knobs: Knobs = {
        "gate_step": gate_step,
        "self_every_before": self_every_before,
        "self_every_after": self_every_after,
    }
    return Plan(Origin("tgate", knobs), steps, anatomy.model, rows, fusion="average")


def _self_row(steps: int, gate: int, before: int, after: int, warm: int) -> str:
    fresh = {*range(min(warm + 1, steps)), gate - 1}
    fresh |= {step for step in range(steps) if step % (before if step < gate else after) == 0}
    return "".join("C" if step in fresh else "R" for step in range(steps))
