"""Requests as the shell words them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hgc.cache.plan import Plan, PlanRefused
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import CacheSettings, Request
from hgc.service import Studio
from hgc.service.presets import budget_of


def chosen(
    studio: Studio, plan: str, steps: int, guidance: bool = True, method: str = "hgc", budget: float | None = None
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


def painted(studio: Studio, seed: int, fields: Mapping[str, Any]) -> Request:
    """The request of a painted scene: its caption, and its label or edge map as the control."""
    scene, control = paint(seed), fields["control"]
    drawing = colour_map(scene.labels) if control == "segmentation" else scene.edges[:, :, None].repeat(3, axis=2)
    return Request.make(studio.prepare_control(drawing, control).png, seed=seed, prompt=scene.caption, **fields)
