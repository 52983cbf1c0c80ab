"""Verification while running: does what the plan forecasts still agree with what is computed anyway?

Wherever a site that the plan keeps elsewhere is computed, what the plan would have put there, from the values it had
before, is compared with the computed value. Where that was too far off, the next step that would go on so is computed
instead, and measures the forecast anew.

The numbers are needed on the host, once for each step that keeps something: as with the gate, and together with its
own, the engine waits for the device there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch

from hgc.cache.anatomy import FINE, UNGUIDED, Anatomy
from hgc.cache.plan import Plan
from hgc.cache.rules import Verification
from hgc.cache.running.meter import Meter


@dataclass(frozen=True)
class Verdict:
    """The judgement on a site's next forecast, from the last measured error."""

    site: str
    error: float
    broken: bool
    reason: str


@dataclass
class Verifier:
    """State of one run; `refreshed[site]` are the rows that are computed where this site's forecast broke."""

    rule: Verification
    refreshed: Mapping[str, tuple[str, ...]]
    meter: Meter = field(default_factory=Meter)
    _errors: dict[str, tuple[int, float | None]] = field(default_factory=dict)  # None until it was read

    @classmethod
    def of(cls, plan: Plan, anatomy: Anatomy, meter: Meter) -> Verifier | None:
        """None for a plan that is not verified."""
        if plan.verification is None:
            return None
        rows = {name: _refreshed(plan, anatomy, name) for name in verified(plan, anatomy)}
        return cls(plan.verification, rows, meter)

    def see(self, site: str, step: int, error: torch.Tensor) -> None:
        """Called where a site is computed, with the relative L1 error that its forecast would have made."""
        self._errors[site] = (step, None)
        self.meter.note(error, partial(self._measured, site, step))

    def _measured(self, site: str, step: int, error: float) -> None:
        self._errors[site] = (step, error)

    def judge(self, kept: Collection[str]) -> list[Verdict]:
        """The verdicts on the forecasts of these sites, the worst first."""
        names = [name for name in kept if name in self._errors]
        if not names:
            return []
        self.meter.read()
        verdicts = [self._verdict(name, error) for name in names if (error := self._errors[name][1]) is not None]
        return sorted(verdicts, key=lambda verdict: -verdict.error)

    def _verdict(self, name: str, error: float) -> Verdict:
        threshold, broken = self.rule.threshold, not error <= self.rule.threshold  # not a number is no agreement
        words = f"{name} was {error:.3g} off at step {self._errors[name][0] + 1}"  # people count from 1
        bound = f"over {threshold:g}" if broken else f"within {threshold:g}"
        return Verdict(name, error, broken, f"verification: forecast of {words}, {bound}")

    def forget(self, site: str) -> None:
        """Forgets the measured errors: they have been acted on."""
        self._errors.pop(site, None)


def verified(plan: Plan, anatomy: Anatomy) -> frozenset[str]:
    """The rows whose forecasts can turn out wrong; guidance that a plan ends is no forecast."""
    if plan.verification is None:
        return frozenset()
    rows = {name for name in plan.table if not anatomy[name].constant}
    return frozenset(rows if plan.fusion == "difference" else rows - {UNGUIDED})


def _refreshed(plan: Plan, anatomy: Anatomy, name: str) -> tuple[str, ...]:
    """The whole step, in as many branches as planned; both of them for the guidance; an attention alone.

    What lies upstream of a kept site may never have been computed with as many values as its own row needs, so that
    nothing but constants is kept in a step that computes more than was planned.
    """
    if name != UNGUIDED and anatomy[name].kind in FINE:
        return (name,)
    rows = tuple(row for row in plan.table if not anatomy[row].constant)
    return rows if name == UNGUIDED else tuple(row for row in rows if row != UNGUIDED)
