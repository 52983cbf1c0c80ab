"""T-GATE (arXiv 2404.02747): text matters early, so that cross-attention and guidance end at a gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from hgc.cache.anatomy import UNGUIDED, Anatomy, Kind
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.rows import Rows, constants, once_control_is_on
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class TGate(Settings):
    """From `gate_step` on one branch, whose cross-attention stays the mean of both branches' at the step before.

    Self-attention is computed at the steps that `self_every_before` (after `warm` steps) or, beyond the gate,
    `self_every_after` divides, and in the last step before the gate; 1 computes it in every step. The paper's gate
    counts steps from one, ours from zero: both name the first step with one branch.
    """

    gate_step: Annotated[int, Interval(ge=1)] = 10
    self_every_before: Annotated[int, Interval(ge=1)] = 1
    self_every_after: Annotated[int, Interval(ge=1)] = 1
    warm: Annotated[int, Interval(ge=0)] = 2

    def plan(self, anatomy: Anatomy, steps: int, *, first_control_step: int = 0) -> Plan:
        """The attention of a control that sets in at `first_control_step` is computed there.

        Raises PlanRefused for a gate after the last step and for intervals on a network without self-attention.
        """
        if self.gate_step > steps:
            raise PlanRefused(f"gate_step {self.gate_step}: choose between 1 and {steps} ({steps} never gates)")
        actions = "C" * self.gate_step + "R" * (steps - self.gate_step)
        rows: Rows = constants(anatomy, steps) | {UNGUIDED: actions}
        attention = {site.name: actions for site in anatomy.of(Kind.CROSS_ATTENTION)}
        if max(self.self_every_before, self.self_every_after) > 1:
            selves = anatomy.of(Kind.SELF_ATTENTION)
            if not selves:
                raise PlanRefused(f"{anatomy.model} has no self-attention to keep; leave its intervals at 1")
            attention |= dict.fromkeys([site.name for site in selves], self._self_row(steps))
        rows |= once_control_is_on(anatomy, attention, first_control_step)
        return Plan(Origin("tgate", self.knobs), steps, anatomy.model, rows, fusion="average")

    def _self_row(self, steps: int) -> str:
        fresh = {*range(min(self.warm + 1, steps)), self.gate_step - 1}
        for step in range(steps):
            every = self.self_every_before if step < self.gate_step else self.self_every_after
            if step % every == 0:
                fresh.add(step)
        return "".join("C" if step in fresh else "R" for step in range(steps))
