"""What the page calls things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgc.service.methods import METHODS, arm_titles

if TYPE_CHECKING:
    from hgc.service import ArmName, Comparison

SAMPLER_TITLES = {"ddim": "DDIM", "dpmpp": "DPM-Solver++", "unipc": "UniPC", "euler": "Euler"}
ARM_NAMES: tuple[ArmName, ...] = ("full", "cached", "rival")
NO_RIVAL = "nothing"
RIVALS = [("Nothing", NO_RIVAL), *((METHODS[name].title, name) for name in sorted(METHODS, key="fewer_steps".__ne__))]


def rival_of(chosen: str) -> str | None:
    """The request's rival for an entry of the dropdown."""
    return None if chosen == NO_RIVAL else chosen


def captions(comparison: Comparison) -> dict[ArmName, str]:
    """The method of each arm and what it cost of full compute."""
    titles, full = arm_titles(comparison.request), comparison.full.trace.macs.paper
    costs = {name: f"{arm.trace.macs.paper / full:.0%}" for name, arm in comparison.arms.items() if name != "full"}
    return {name: f"{titles[name]}, {costs[name]}" if name in costs else titles[name] for name in titles}
