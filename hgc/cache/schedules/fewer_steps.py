"""The opponent of every cache: nothing kept, the solver given fewer steps."""

from __future__ import annotations

from dataclasses import replace

from hgc.cache.anatomy import Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.schedules.plain import full


def fewer_steps(anatomy: Anatomy, count: int, steps: int) -> Plan:
    """Everything computed in `count` steps instead of `steps`; the pipeline runs with that number of steps."""
    return replace(full(anatomy, count), origin=Origin("fewer_steps", {"count": count, "steps": steps}))
