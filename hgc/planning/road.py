"""The one road from a recipe to a plan; page, endpoints, shell, sweeps and benchmarks all take it."""

from __future__ import annotations

from dataclasses import replace

from hgc.cache import deadline, schedules
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import check, rehearse
from hgc.cache.rules import Verification
from hgc.planning.calibrations import fitting, used_by
from hgc.planning.hgc_settings import plan_with, settings_within
from hgc.planning.in_time import InTime, within_ms
from hgc.planning.methods import METHODS, method_of
from hgc.planning.quality import Solution, solve, solved
from hgc.planning.row_times import RowTimes
from hgc.planning.task import Blueprint, R, Task, at_steps, control_off
from hgc.request import Recipe

HGC = "hgc"


@deadline.planning()
def plan(recipe: Recipe, blueprint: Blueprint) -> Plan:
    """The plan of a recipe's second picture, one that can be run on this model; verified where the recipe asks for it.

    It is the recipe's own table, or what the method makes of its budget or of the cheapest one for its target, or what
    HGC makes of its settings. Raises RequestRefused, PlanRefused, BelowLeast for a budget below the method's least,
    TargetOutOfReach, CalibrationRefused, and TooLong when it takes longer than planning may.
    """
    blueprint.check(recipe)
    task = Task(recipe, blueprint)
    recipe = solved(recipe, task)
    method, own = method_of(recipe.method), recipe.own_plan
    if recipe.rival is not None and method_of(recipe.rival).calibrated:
        fitting(recipe, task.weights)  # the rival is planned later: what it lacks is said now
    if own is not None:
        found = _own(task, own)
    elif recipe.budget is not None:
        found = method.plan(task, recipe.budget)
    else:
        found = plan_with(task, recipe.cache)
    off = control_off(at_steps(recipe, found.steps), task.anatomy)
    rehearse(found, task.anatomy, guidance=task.guided, off=off)
    return found if recipe.verify is None else replace(found, verification=Verification(recipe.verify))


def _own(task: Task, own: Plan) -> Plan:
    """A plan that somebody brings: of this model, these steps, and of a calibration that is here."""
    check(own, task.anatomy, task.steps)
    if own.fitted:
        used_by(own, task.recipe, task.weights).read()
    return own


def rival_of(recipe: Recipe, share: float) -> Recipe | None:
    """The recipe of the third picture, at the cost of an arm with this share of full compute; None without a rival.

    The nearest whole step of fewer steps is taken: it, and every other method, may cost half a step more.
    """
    if recipe.rival is None:
        return None
    budget = min(1.0, share + 0.5 / recipe.steps)
    return recipe.but(method=recipe.rival, budget=budget, at_least=None, plan=None, rival=None, verify=None)


@deadline.planning()
def solution(recipe: Recipe, blueprint: Blueprint) -> Solution:
    """The budget of the recipe's method for its target, and how surely it gives that. Raises PlanRefused."""
    blueprint.check(recipe)
    return solve(Task(recipe, blueprint))


@deadline.planning()
def in_time(recipe: Recipe, blueprint: Blueprint, times: RowTimes, most_ms: float) -> InTime:
    """The greatest budget of the recipe's method that keeps to a time. Raises PlanRefused."""
    blueprint.check(recipe)
    return within_ms(Task(recipe, blueprint), times, most_ms)


def with_budget(recipe: R, blueprint: Blueprint) -> R:
    """The recipe with the budget that its target comes to, where it has one instead of a budget. Raises PlanRefused."""
    blueprint.check(recipe)
    return solved(recipe, Task(recipe, blueprint))


@deadline.planning()
def settings(recipe: Recipe, blueprint: Blueprint) -> schedules.HGC:
    """HGC's settings for the recipe's budget, whatever its method; without a budget those that it has.

    Raises BelowLeast for a budget below HGC's least.
    """
    recipe = with_budget(recipe, blueprint)
    if recipe.budget is None:
        return recipe.cache
    with METHODS[HGC].telling(recipe.budget, recipe.steps):
        return settings_within(Task(recipe, blueprint), recipe.budget)


def by_settings(recipe: R, blueprint: Blueprint) -> R:
    """The recipe by HGC with settings in place of its budget, to be changed one by one. Raises BelowLeast."""
    return recipe.but(cache=settings(recipe, blueprint), method=HGC, budget=None, at_least=None, plan=None)
