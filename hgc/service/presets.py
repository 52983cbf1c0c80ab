"""Named budgets: one word for how much compute a picture may take, and what HGC makes of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import Forecast
from hgc.request import CacheSettings, Request


@dataclass(frozen=True)
class Preset:
    """A share of full compute (paper convention), None for the exact savings alone, and one line of why."""

    name: str
    budget: float | None
    reason: str


# Over the long gaps between fewer key steps a line runs away: on Landscapes, at 3 of 20, 12 dB against 20 of repeating.
FEWEST_TO_EXTRAPOLATE = 5

PRESETS: Mapping[str, Preset] = {
    preset.name.lower(): preset
    for preset in (
        Preset("Exact", None, "Only what changes no bit: work that does not depend on the step is done once."),
        Preset("Quality", 0.65, "A third less compute; differences are hard to find even side by side."),
        Preset("Balanced", 0.50, "Half the compute for a picture most people take for the same."),
        Preset("Paper", 0.368, "The share of compute that the HGC paper reports (6.70 of 18.22 T MACs)."),
        Preset("Turbo", 0.20, "Five times less compute for a likeness, not the same picture."),
    )
}


def budget_of(wanted: str | float) -> float:
    """The share of full compute of a preset's name, or the share itself; 1 leaves only the exact savings.

    Raises PlanRefused for an unknown name.
    """
    if not isinstance(wanted, str):
        return wanted
    if wanted.lower() not in PRESETS:
        raise PlanRefused(f"unknown preset '{wanted}'; known are {', '.join(p.name for p in PRESETS.values())}")
    budget = PRESETS[wanted.lower()].budget
    return 1.0 if budget is None else budget


def settings_for(anatomy: Anatomy, steps: int, wanted: str | float, *, guidance: bool = True) -> CacheSettings:
    """Cache settings for a preset's name or a share of full compute; exact savings alone where these are enough.

    The share is that of a run with guidance, or without.

    Raises PlanRefused for an unknown name, OutOfReach for a share below the cheapest plan's.
    """
    budget = budget_of(wanted)
    if budget >= _exact_share(anatomy, steps, guidance):
        return CacheSettings(coarse=False, fine=False)
    settings = CacheSettings()
    density = schedules.under_budget(anatomy, steps, budget, guidance=guidance, **_shared(settings))
    found = {"lambda_inter": density.lambda_inter, "gate": density.gate_step / steps}
    far_apart = round(density.lambda_inter * steps) < FEWEST_TO_EXTRAPOLATE
    return settings.model_copy(update=found | ({"order": 0} if far_apart else {}))


def _exact_share(anatomy: Anatomy, steps: int, guidance: bool) -> float:
    whole = plan_macs(schedules.full(anatomy, steps), anatomy, guidance=guidance).paper
    return plan_macs(schedules.exact(anatomy, steps), anatomy, guidance=guidance).paper / whole


def hgc_plan(request: Request, anatomy: Anatomy) -> Plan:
    """The plan that the request's cache settings describe. Raises PlanRefused."""
    cache, steps = request.cache, request.steps
    if cache.off:
        return schedules.exact(anatomy, steps)
    return schedules.hgc(
        anatomy,
        steps,
        lambda_inter=cache.lambda_inter,
        gate_step=max(1, round(cache.gate * steps)),
        coarse=cache.coarse,
        fine=cache.fine,
        threshold=cache.threshold,
        first_control_step=first_control_step(request),
        **_shared(cache),
    )


def control_off(request: Request) -> list[frozenset[str]]:
    """For every step, the ControlNets whose scale is zero in it, by diffusers' rule for the guidance window."""
    steps, names = request.steps, frozenset({"controlnet"})
    inside = [
        request.control_scale > 0 and i / steps >= request.control_start and (i + 1) / steps <= request.control_end
        for i in range(steps)
    ]
    return [frozenset() if on else names for on in inside]


def first_control_step(request: Request) -> int:
    """The step in which the control sets in; 0 when it never does, so that nothing is planned for it."""
    return next((i for i, off in enumerate(control_off(request)) if not off), 0)


def _shared(cache: CacheSettings) -> dict[str, Any]:
    return {
        "lambda_intra": cache.lambda_intra,
        "attention_every": cache.attention_every,
        "fusion": cache.fusion,
        "forecast": Forecast.polynomial(cache.order),
    }
