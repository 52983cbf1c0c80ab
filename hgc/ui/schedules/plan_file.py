"""A plan from the file that it was saved in."""

from __future__ import annotations

from pathlib import Path

from hgc import limits
from hgc.cache.plan import Plan
from hgc.cache.rules import PlanRefused

LARGEST_PLAN_BYTES = limits.PLAN_BYTES


def read_plan(file: str | None) -> Plan:
    """The plan of an exported file. Raises PlanRefused."""
    if file is None:
        raise PlanRefused("no file was given; choose a plan's JSON")
    path = Path(file)
    if path.stat().st_size > LARGEST_PLAN_BYTES:
        raise PlanRefused(
            f"the file has {path.stat().st_size} bytes, a plan at most {LARGEST_PLAN_BYTES}; choose a plan's JSON"
        )
    try:
        return Plan.from_json(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise PlanRefused("the file is not text; choose a plan's JSON") from error
    except PlanRefused as error:
        raise PlanRefused(f"the file is not a plan that can be read: {error}") from error
