"""Rows of a plan's table, and the places in the anatomy that the methods keep."""

from __future__ import annotations

from collections.abc import Iterable

from hgc.cache.anatomy import Anatomy, Kind, Site
from hgc.cache.rules import REPEAT, Forecast, PlanRefused

Rows = dict[str, str]


def constants(anatomy: Anatomy, steps: int) -> Rows:
    """Rows that compute in the first step what does not depend on the step."""
    return {site.name: "C" + "R" * (steps - 1) for site in anatomy if site.constant}


def key_steps(steps: int, count: int, *, warm: int = 2, power: float = 1.3) -> tuple[int, ...]:
    """`count` steps, the first `warm` always, the rest spaced ever wider (power 1: evenly).

    Raises PlanRefused when count is not between 1 and steps.
    """
    if not 1 <= count <= steps:
        raise PlanRefused(f"{count} key steps of {steps}: choose between 1 and {steps}")
    warm = min(warm, count)
    chosen = list(range(warm))
    for i in range(count - warm):
        step = round(warm + (steps - warm) * (i / (count - warm)) ** power)
        latest = steps - (count - warm - i)
        chosen.append(min(max(step, chosen[-1] + 1), latest))
    return tuple(chosen)


def checked_keys(steps: int, keys: Iterable[int]) -> tuple[int, ...]:
    """The key steps in order, each once. Raises PlanRefused unless the first step is among them and no later than the
    last."""
    steps_given = tuple(sorted(set(keys)))
    if not steps_given or steps_given[0] != 0 or steps_given[-1] >= steps:
        raise PlanRefused(f"key steps {list(steps_given)}: name steps from 0, always the first, to {steps - 1}")
    return steps_given


def keep_between(steps: int, keys: Iterable[int], forecast: Forecast = REPEAT) -> str:
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


def keep_control(steps: int, keys: Iterable[int], forecast: Forecast, first: int) -> str:
    """`keep_between` for what hangs on a control that sets in at step `first`: computed there and at once after."""
    late = {first, min(first + 1, steps - 1)} if first else set()
    late |= {key for key in keys if key >= first}
    return "C" * first + keep_between(steps - first, [key - first for key in late], forecast)


def once_control_is_on(anatomy: Anatomy, rows: Rows, first: int) -> Rows:
    """The rows with those of ControlNets computing up to the step `first`, in which the control sets in."""
    late = {name: "C" * (first + 1) + row[first + 1 :] for name, row in rows.items() if name in anatomy.control_sites}
    return rows | late if first else rows


def decoder_layers(anatomy: Anatomy) -> list[list[Site]]:
    """The decoder's layers from the middle to the output: a ResNet with its transformer, and the sampler after it."""
    layers: list[list[Site]] = []
    for site in anatomy.decoder:
        if site.kind is Kind.RESNET:
            layers.append([])
        layers[-1].append(site)
    return layers


def cut_site(anatomy: Anatomy, refreshed: int) -> str:
    """The site to keep so that just the `refreshed` decoder layers nearest to the output are computed."""
    layers = decoder_layers(anatomy)
    if not 0 <= refreshed < len(layers):
        raise PlanRefused(f"{refreshed} refreshed decoder layers; choose between 0 and {len(layers) - 1}")
    return layers[-1 - refreshed][-1].name


def kept_residuals(anatomy: Anatomy, layers: int) -> list[str]:
    """The control residuals that the outermost decoder layers consume, but the first, which costs next to nothing."""
    refreshed = decoder_layers(anatomy)[-layers:]
    consumed = {name for layer in refreshed for site in layer for name in site.inputs}
    firsts = {names[0] for names in anatomy.residuals.values()}
    return [site.name for site in anatomy.control_residuals if site.name in consumed - firsts]
