"""How the second picture is wanted: a method and a budget, or HGC's settings as they stand on the page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from hgc.control.annotators import read_by
from hgc.planning.methods import BelowLeast
from hgc.planning.presets import budget_of, by_budget
from hgc.planning.task import R
from hgc.ui.playground.drawing import kind_drawn

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

HGC = "hgc"
DIGITS = 12  # of a share: a percentage is not divided by 100 without a rest


@dataclass(frozen=True)
class Wanted:
    """The panel's method, preset, percentage of the budget's slider, and whether HGC's settings were set by hand.

    Settings by hand count before the percentage, a chosen preset before both.
    """

    method: str
    preset: str | None
    percent: float
    hand: bool

    @property
    def share(self) -> float:
        """Of full compute."""
        return round(self.percent / 100, DIGITS) if self.preset is None else budget_of(self.preset)

    @property
    def by_hand(self) -> bool:
        return self.method == HGC and self.preset is None and self.hand

    def fields(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe's fields; `settings` are HGC's as they stand on the page."""
        return {"cache": dict(settings)} if self.by_hand else by_budget(self.method, self.share)


@dataclass(frozen=True)
class Reach(Generic[R]):
    """A recipe that can be run, and where its budget is not the one that was wanted, why."""

    recipe: R
    sentence: str = ""


def within_reach(studio: Studio, recipe: R) -> Reach[R]:
    """The recipe, at its method's least where that costs more than the budget. Raises RequestRefused, PlanRefused."""
    try:
        studio.plan(recipe)
    except BelowLeast as error:
        return Reach(error.at_least(recipe), f"{error}. Until then, Run takes its least.")
    return Reach(recipe)


def control_of(source: str, annotator: str, which: str, controls: Sequence[str], areas: Collection[str]) -> str:
    """The one of a model's controls that will read the panel's map; `areas` are those it has areas painted for."""
    return read_by(kind_drawn(source, annotator, which, areas), controls)
