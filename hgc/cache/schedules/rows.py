"""Rows of a plan's table."""

from __future__ import annotations

from collections.abc import Iterable

from hgc.cache.anatomy import Anatomy
from hgc.cache.rules import REPEAT, ForecastRule
from hgc.cache.schedules.key_steps import checked_keys

Rows = dict[str, str]


def constants(anatomy: Anatomy, steps: int) -> Rows:
    """Rows that compute in the first step what does not depend on the step."""
    return {site.name: "C" + "R" * (steps - 1) for site in anatomy if site.constant}


def keep_between(steps: int, keys: Iterable[int], forecast: ForecastRule = REPEAT) -> str:
    """A row that computes at the key steps and goes on in between, by forecast once there are values enough.

    Raises PlanRefused for key steps that `checked_keys` refuses.
    """
    keys = checked_keys(steps, keys)
    seen, row = 0, []
    for step in range(steps):
        seen += step in keys
        goes_on = forecast != REPEAT and seen >= forecast.least
        row.append("C" if step in keys else "F" if goes_on else "R")
    return "".join(row)


def keep_control(steps: int, keys: Iterable[int], forecast: ForecastRule, first: int) -> str:
    """`keep_between` for what hangs on a control that sets in at step `first`: computed there and at once after."""
    late = {first, min(first + 1, steps - 1)} if first else set()
    late |= {key for key in keys if key >= first}
    return "C" * first + keep_between(steps - first, [key - first for key in late], forecast)


def once_control_is_on(anatomy: Anatomy, rows: Rows, first: int) -> Rows:
    """The rows with those of ControlNets computing up to the step `first`, in which the control sets in."""
    late = {name: "C" * (first + 1) + row[first + 1 :] for name, row in rows.items() if name in anatomy.control_sites}
    return rows | late if first else rows
