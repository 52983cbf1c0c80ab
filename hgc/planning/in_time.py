"""From the time that a picture may take on this device to the budget of most compute that keeps to it."""

from __future__ import annotations

from dataclasses import dataclass

from hgc.cache import schedules
from hgc.cache.plan import Plan, PlanRefused
from hgc.planning.methods import METHODS, method_of
from hgc.planning.row_times import RowTimes
from hgc.planning.task import Task, at_steps, control_off

LEAST_MS, MOST_MS = 1.0, 86_400_000.0
PARTS = 100  # budgets are tried in whole percents


@dataclass(frozen=True)
class InTime:
    """A budget for a time: the plan is foreseen to take `ms`, full compute `full_ms`; `share` is the plan's cost."""

    method: str
    most_ms: float
    budget: float
    share: float
    ms: float
    full_ms: float

    @property
    def sentence(self) -> str:
        """The answer in plain words."""
        return (
            f"At most {told_ms(self.most_ms)}: {METHODS[self.method].title} at {self.share:.0%} of full compute. By "
            f"times measured on this device a picture takes {told_ms(self.ms)}, in full {told_ms(self.full_ms)}."
        )


class TimeOutOfReach(PlanRefused):
    """Less time than the method's cheapest plan takes, which is at the budget `nearest`."""

    def __init__(self, message: str, nearest: float) -> None:
        super().__init__(message)
        self.nearest = nearest


def check_time(most_ms: float) -> None:
    """Raises PlanRefused for a time out of range, or none."""
    if not LEAST_MS <= most_ms <= MOST_MS:
        raise PlanRefused(f"at most {most_ms:g} ms: choose from {LEAST_MS:g} to {MOST_MS:,.0f}")


def within_ms(task: Task, times: RowTimes, most_ms: float) -> InTime:
    """The greatest budget, in whole percents, whose plan of the recipe's method is foreseen to take no longer.

    Raises TimeOutOfReach, PlanRefused for a time out of range and for what the method cannot plan.
    """
    check_time(most_ms)
    method, full_ms = method_of(task.recipe.method), _ms(task, times, schedules.full(task.anatomy, task.steps))

    def found(percent: int) -> InTime:
        plan = method.plan(task, percent / PARTS)
        return InTime(method.name, most_ms, percent / PARTS, task.share(plan), _ms(task, times, plan), full_ms)

    low, high = method.least_percent(task), PARTS
    best = found(low)
    if best.ms > most_ms:
        raise TimeOutOfReach(
            f"{method.title} takes {told_ms(best.ms)} at the least here, at {best.share:.0%} of full compute: allow as "
            f"much, or take fewer steps than {task.steps} or another method",
            best.budget,
        )
    while low < high:
        middle = (low + high + 1) // 2
        if (tried := found(middle)).ms <= most_ms:
            best, low = tried, middle
        else:
            high = middle - 1
    return best


def _ms(task: Task, times: RowTimes, plan: Plan) -> float:
    off = control_off(at_steps(task.recipe, plan.steps), task.anatomy)
    return times.picture_ms(plan, task.anatomy, guidance=task.guided, off=off)


def told_ms(ms: float) -> str:
    """A time as it is read: 850 ms, 2.4 s."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"
