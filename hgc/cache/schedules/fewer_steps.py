"""Fewer steps and nothing kept: what every cache has to beat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Interval

from hgc.cache.anatomy import Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.schedules.plain import full
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class FewerSteps(Settings):
    """Everything computed in `count` steps; the pipeline runs with that number of steps."""

    count: Annotated[int, Interval(ge=1)]

    def plan(self, anatomy: Anatomy, steps: int) -> Plan:
        """In the place of `steps`."""
        origin = Origin("fewer_steps", {**self.knobs, "steps": steps})
        return replace(full(anatomy, self.count), origin=origin)
