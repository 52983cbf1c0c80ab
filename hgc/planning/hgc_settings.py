"""HGC within a budget: the settings of its two caches, and the plan that settings describe."""

from __future__ import annotations

from typing import Any

from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.rules import Forecast
from hgc.planning.task import Task
from hgc.request import CacheSettings

# Over the long gaps between fewer key steps a line runs away: on Landscapes, at 3 of 20, 12 dB against 20 of repeating.
FEWEST_TO_EXTRAPOLATE = 5


def settings_within(task: Task, share: float) -> CacheSettings:
    """The settings of most compute within a share of full compute; exact savings alone where these are enough.

    Raises OutOfReach for a share below the cheapest plan's.
    """
    if share >= task.share(schedules.exact(task.anatomy, task.steps)):
        return CacheSettings(coarse=False, fine=False)
    settings = CacheSettings()
    density = schedules.under_budget(
        task.anatomy,
        task.steps,
        share,
        guidance=task.guided,
        off=task.off,
        first_control_step=task.first_control_step,
        **_shared(settings),
    )
    chosen = {"lambda_inter": density.lambda_inter, "gate": density.gate_step / task.steps}
    far_apart = round(density.lambda_inter * task.steps) < FEWEST_TO_EXTRAPOLATE
    return settings.model_copy(update=chosen | ({"order": 0} if far_apart else {}))


def plan_with(task: Task, settings: CacheSettings) -> Plan:
    """The plan that the settings describe. Raises PlanRefused."""
    if settings.off:
        return schedules.exact(task.anatomy, task.steps)
    return schedules.hgc(
        task.anatomy,
        task.steps,
        lambda_inter=settings.lambda_inter,
        gate_step=max(1, round(settings.gate * task.steps)),
        coarse=settings.coarse,
        fine=settings.fine,
        threshold=settings.threshold,
        first_control_step=task.first_control_step,
        **_shared(settings),
    )


def _shared(settings: CacheSettings) -> dict[str, Any]:
    return {
        "lambda_intra": settings.lambda_intra,
        "attention_every": settings.attention_every,
        "fusion": settings.fusion,
        "forecast": Forecast.polynomial(settings.order),
    }
