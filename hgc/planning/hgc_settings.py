"""HGC within a budget: the settings of its two caches, and the plan that settings describe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hgc.cache import schedules
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import Forecast
from hgc.planning.similar import similar_to
from hgc.planning.task import Task
from hgc.request import CacheSettings

# Over the long gaps between fewer key steps a line runs away: on Landscapes, at 3 of 20, 12 dB against 20 of repeating.
FEWEST_TO_EXTRAPOLATE = 5
ATTENTION_EVERY = 2  # what half of all cross-attentions repeats hardly shows, where it is the harmless half


def settings_within(task: Task, share: float) -> CacheSettings:
    """The settings of least predicted error within a share of full compute; exact savings alone where that is enough.

    By measured similarity where there is any, else by the timetable, whose settings are those of most compute. Raises
    OutOfReach for a share below the cheapest plan's.
    """
    if share >= task.share(schedules.exact(task.anatomy, task.steps)):
        return CacheSettings(coarse=False, fine=False)
    if (similar := similar_to(task)) is None:
        return _by_timetable(task, share)
    densities = schedules.densities_within(
        task.anatomy,
        similar.alike,
        share,
        attention_every=ATTENTION_EVERY,
        guidance=task.guided,
        off=task.off,
    )
    return CacheSettings(
        similarity=True,
        lambda_inter=densities.lambda_inter,
        lambda_intra=densities.lambda_intra,
        gate=densities.gate_step / task.steps,
        order=densities.order,
        attention_every=ATTENTION_EVERY,
    )


def _by_timetable(task: Task, share: float) -> CacheSettings:
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
    if settings.similarity:
        return _by_similarity(task, settings)
    return schedules.hgc(
        task.anatomy,
        task.steps,
        lambda_inter=settings.lambda_inter,
        gate_step=_gate_step(task, settings),
        coarse=settings.coarse,
        fine=settings.fine,
        **_at_run_time(settings),
        first_control_step=task.first_control_step,
        **_shared(settings),
    )


def _by_similarity(task: Task, settings: CacheSettings) -> Plan:
    """Raises PlanRefused where nothing was measured for it."""
    if (similar := similar_to(task)) is None:
        raise PlanRefused(
            f"similarity: nothing was measured on {task.recipe.model} under {task.recipe.control} with these weights; "
            f"switch it off, or measure it: python -m hgc optimize --model {task.recipe.model} --control "
            f"{task.recipe.control}"
        )
    plan = schedules.hgc_measured(
        task.anatomy,
        similar.alike,
        schedules.Densities(settings.lambda_inter, settings.lambda_intra, _gate_step(task, settings), settings.order),
        attention_every=settings.attention_every,
        coarse=settings.coarse,
        fine=settings.fine,
        fusion=settings.fusion,
        **_at_run_time(settings),
        guidance=task.guided,
        off=task.off,
    )
    return replace(plan, origin=replace(plan.origin, carried_over=similar.carried_over))


def _gate_step(task: Task, settings: CacheSettings) -> int:
    return max(1, round(settings.gate * task.steps))


def _at_run_time(settings: CacheSettings) -> dict[str, Any]:
    return {"threshold": settings.threshold, "release": settings.release, "most": settings.most}


def _shared(settings: CacheSettings) -> dict[str, Any]:
    return {
        "lambda_intra": settings.lambda_intra,
        "attention_every": settings.attention_every,
        "fusion": settings.fusion,
        "forecast": Forecast.polynomial(settings.order),
    }
