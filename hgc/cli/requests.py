"""Requests as the shell words them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hgc import limits
from hgc.cache.plan import Plan
from hgc.cli.files import read_text
from hgc.planning.methods import DEFAULT_METHOD
from hgc.planning.presets import by_budget


def chosen(plan: str, method: str = DEFAULT_METHOD, budget: float | None = None) -> dict[str, Any]:
    """The request's fields for what --plan, --method and --budget named; a budget takes the place of the plan's."""
    if budget is not None:
        return by_budget(method, budget)
    if plan.endswith(".json"):
        text = read_text(Path(plan), limits.PLAN_BYTES, "an exported plan")
        return {"plan": Plan.from_json(text).as_dict()}
    return by_budget(method, _preset_or_share(plan))


def _preset_or_share(plan: str) -> str | float:
    try:
        return float(plan)
    except ValueError:
        return plan
