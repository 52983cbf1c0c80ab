"""Requests as the shell words them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hgc.cache.plan import Plan, PlanRefused
from hgc.planning.methods import DEFAULT_METHOD
from hgc.planning.presets import budget_of
from hgc.request import CacheSettings
from hgc.studio.studio import Studio


def chosen(
    studio: Studio,
    plan: str,
    steps: int,
    guidance: bool = True,
    method: str = DEFAULT_METHOD,
    budget: float | None = None,
) -> dict[str, Any]:
    """The request's fields for what --plan, --method and --budget named; a budget takes the place of the plan's."""
    if budget is not None:
        return {"method": method, "budget": budget}
    if plan.endswith(".json"):
        try:
            text = Path(plan).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise PlanRefused(f"plan file {plan}: {reason}; give the path of an exported plan") from error
        return {"plan": Plan.from_json(text).as_dict()}
    try:
        wanted: str | float = float(plan)
    except ValueError:
        wanted = plan
    if method != "hgc":
        return {"method": method, "budget": budget_of(wanted)}
    settings: CacheSettings = studio.settings_for(wanted, steps, guidance=guidance)
    return {"cache": settings.model_dump()}
