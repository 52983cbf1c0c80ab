"""Arms and forecasts that several runs share, so that each is made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hgc.cache.plan import Plan, PlanRefused
from hgc.request import ArmName, Recipe, Request, RequestRefused
from hgc.results.comparison import Arm
from hgc.results.forecast import Forecast

# What of a request its cost does not depend on.
COSTS_NOTHING = {"prompt", "negative_prompt", "seed", "control_png"}


class ArmCache:
    """Arms by what determines them: the picture, steps among it, and the plan. Not for several threads."""

    def __init__(self) -> None:
        self._arms: dict[tuple[str, str], Arm] = {}
        self._forecasts: dict[str, Forecast | PlanRefused | RequestRefused] = {}

    def find(self, name: ArmName, request: Request, plan: Plan) -> Arm | None:
        """The arm of this picture under this plan, by the name it has in the run that asks."""
        known = self._arms.get((request.picture_digest, plan.digest))
        return None if known is None else replace(known, name=name)

    def keep(self, request: Request, plan: Plan, arm: Arm) -> None:
        self._arms[request.picture_digest, plan.digest] = arm

    def forecast(self, recipe: Recipe, find: Callable[[Recipe], Forecast]) -> Forecast:
        """The answer of `find` for a recipe, or the refusal that it raises; asked once of all that cost the same."""
        key = recipe.model_dump_json(exclude=COSTS_NOTHING)
        if key not in self._forecasts:
            try:
                self._forecasts[key] = find(recipe)
            except (PlanRefused, RequestRefused) as refusal:
                self._forecasts[key] = refusal
        if isinstance(known := self._forecasts[key], Exception):
            raise known
        return known
