"""From a recipe to its plan: methods, budgets, presets and the calibrations in use.

    planning.plan(recipe, Blueprint(anatomy, weights))

is the only road there; `settings` says what HGC makes of a budget, for whoever wants to change it by hand, and
`solution` which budget a target of quality comes to, `in_time` which one a time on this device does.
"""

from hgc.planning.in_time import check_time
from hgc.planning.road import by_settings, in_time, plan, rival_of, settings, solution, with_budget
from hgc.planning.task import Blueprint, R, Task

__all__ = [
    "Blueprint",
    "R",
    "Task",
    "by_settings",
    "check_time",
    "in_time",
    "plan",
    "rival_of",
    "settings",
    "solution",
    "with_budget",
]
