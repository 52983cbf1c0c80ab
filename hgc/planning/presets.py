"""Named budgets: one word for how much compute a picture may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hgc.cache.plan import PlanRefused


@dataclass(frozen=True)
class Preset:
    """A share of full compute (paper convention), None for the exact savings alone, and one line of why."""

    name: str
    budget: float | None
    reason: str


PRESETS: Mapping[str, Preset] = {
    preset.name.lower(): preset
    for preset in (
        Preset("Exact", None, "Changes no bit of the picture: work that does not depend on the step is done once."),
        Preset("Quality", 0.65, "A third less compute; differences are hard to find even side by side."),
        Preset("Balanced", 0.50, "Half the compute; most people take the two pictures for the same."),
        Preset("Paper", 0.368, "The share of compute that the HGC paper reports (6.70 of 18.22 T MACs)."),
        Preset(
            "Turbo",
            0.20,
            "Five times less compute: a searched plan stays close, with other methods the picture is only similar.",
        ),
    )
}


def budget_of(wanted: str | float) -> float:
    """The share of full compute of a preset's name, or the share itself; 1 leaves only the exact savings.

    Raises PlanRefused for an unknown name.
    """
    if not isinstance(wanted, str):
        return wanted
    if wanted.lower() not in PRESETS:
        raise PlanRefused(f"unknown preset '{wanted[:40]}'; known are {', '.join(p.name for p in PRESETS.values())}")
    budget = PRESETS[wanted.lower()].budget
    return 1.0 if budget is None else budget


def by_budget(method: str, wanted: str | float) -> dict[str, Any]:
    """The fields of a recipe for a method and a preset's name or a share. Raises PlanRefused for an unknown name."""
    return {"method": method, "budget": budget_of(wanted)}


def preset_of(budget: float) -> Preset | None:
    """The preset of just this budget, if there is one."""
    return next((preset for name, preset in PRESETS.items() if budget_of(name) == budget), None)
