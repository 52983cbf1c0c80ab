"""Named budgets: one word for how much compute a picture may take, and what HGC makes of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
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
        Preset("Turbo", 0.20, "Five times less compute: a searched plan stays close, methods by rule give a likeness."),
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


def settings_for(
    anatomy: Anatomy,
    steps: int,
    wanted: str | float,
    *,
    guidance: bool = True,
    window: tuple[float, float] = (0.0, 1.0),
    strength: float = 1.0,
) -> CacheSettings:
    """Cache settings for a preset's name or a share of full compute; exact savings alone where these are enough.

    The share is that of a run with guidance, or without, whose control of this strength works in `window`, two shares
    of the steps. Raises PlanRefused for an unknown name, OutOfReach for a share below the cheapest plan's.
    """
    budget, off = budget_of(wanted), off_in(steps, window, strength)
    cost = partial(plan_macs, anatomy=anatomy, guidance=guidance, off=off)
    if budget >= cost(schedules.exact(anatomy, steps)).paper / cost(schedules.full(anatomy, steps)).paper:
        return CacheSettings(coarse=False, fine=False)
    settings = CacheSettings()
    rest = _shared(settings) | {"first_control_step": first_on(off)}
    density = schedules.under_budget(anatomy, steps, budget, guidance=guidance, off=off, **rest)
    found = {"lambda_inter": density.lambda_inter, "gate": density.gate_step / steps}
    far_apart = round(density.lambda_inter * steps) < FEWEST_TO_EXTRAPOLATE
    return settings.model_copy(update=found | ({"order": 0} if far_apart else {}))


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
        first_control_step=first_on(control_off(request)),
        **_shared(cache),
    )


def control_off(request: Request) -> schedules.Off:
    """For every step of the request, the ControlNets whose scale is zero in it."""
    return off_in(request.steps, (request.control_start, request.control_end), request.control_scale)


def off_in(steps: int, window: tuple[float, float], strength: float) -> schedules.Off:
    """The same by diffusers' rule for the guidance window."""
    start, end = window
    inside = [strength > 0 and i / steps >= start and (i + 1) / steps <= end for i in range(steps)]
    return tuple(frozenset() if on else frozenset({"controlnet"}) for on in inside)


def first_on(off: schedules.Off) -> int:
    """The step in which the control sets in; 0 when it never does, so that nothing is planned for it."""
    return next((i for i, names in enumerate(off) if not names), 0)


def _shared(cache: CacheSettings) -> dict[str, Any]:
    return {
        "lambda_intra": cache.lambda_intra,
        "attention_every": cache.attention_every,
        "fusion": cache.fusion,
        "forecast": Forecast.polynomial(cache.order),
    }
