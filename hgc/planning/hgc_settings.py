"""HGC within a budget: the settings of its two caches, and the plan that settings describe."""

from __future__ import annotations

from dataclasses import replace

from hgc.cache import schedules
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.schedules import HGC
from hgc.planning.similar import similar_to
from hgc.planning.task import Task

# Over the long gaps between fewer key steps a line runs away: on Landscapes, at 3 of 20, 12 dB against 20 of repeating.
FEWEST_TO_EXTRAPOLATE = 5
# What half of all cross-attentions repeats hardly shows, where it is the harmless half.
BY_SIMILARITY = HGC(similarity=True, attention_every=2)


def settings_within(task: Task, share: float) -> HGC:
    """The settings of least predicted error within a share of full compute; exact savings alone where that is enough.

    By measured similarity where there is any, else by the timetable, whose settings are those of most compute. Raises
    OutOfReach for a share below the cheapest plan's.
    """
    if share >= task.share(schedules.exact(task.anatomy, task.steps)):
        return HGC(coarse=False, fine=False)
    if (similar := similar_to(task)) is None:
        return _by_timetable(task, share)
    return schedules.least_error_within(
        task.anatomy, similar.alike, share, BY_SIMILARITY, guidance=task.guided, off=task.off
    )


def _by_timetable(task: Task, share: float) -> HGC:
    settings = schedules.under_budget(
        task.anatomy,
        task.steps,
        share,
        HGC(),
        guidance=task.guided,
        off=task.off,
        first_control_step=task.first_control_step,
    )
    far_apart = settings.key_count(task.steps) < FEWEST_TO_EXTRAPOLATE
    return replace(settings, order=0) if far_apart else settings


def plan_with(task: Task, settings: HGC) -> Plan:
    """The plan that the settings describe. Raises PlanRefused."""
    if settings.off:
        return schedules.exact(task.anatomy, task.steps)
    if settings.similarity:
        return _by_similarity(task, settings)
    return settings.plan(task.anatomy, task.steps, first_control_step=task.first_control_step)


def _by_similarity(task: Task, settings: HGC) -> Plan:
    """Raises PlanRefused where nothing was measured for it."""
    if (similar := similar_to(task)) is None:
        raise PlanRefused(
            f"similarity: nothing was measured on {task.recipe.model} under {task.recipe.control} with these weights; "
            f"switch it off, or measure it: python -m hgc optimize --model {task.recipe.model} --control "
            f"{task.recipe.control}"
        )
    plan = schedules.hgc_measured(task.anatomy, similar.alike, settings, guidance=task.guided, off=task.off)
    return replace(plan, origin=replace(plan.origin, carried_over=similar.carried_over))
