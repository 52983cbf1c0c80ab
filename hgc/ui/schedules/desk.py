"""A plan laid on the grid to be edited by hand, and the recipe that it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hgc.cache.plan import Plan
from hgc.cache.plan_edit import Draft, Ground
from hgc.cache.rehearsal import check
from hgc.charts.plan_grid import PlanGrid
from hgc.planning.methods import BelowLeast
from hgc.planning.task import control_off
from hgc.request import Recipe

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


@dataclass(frozen=True)
class PlanDesk:
    """A plan under the pen and the recipe that it is for."""

    draft: Draft
    recipe: Recipe
    grid: PlanGrid

    @property
    def ground(self) -> Ground:
        off = tuple(control_off(self.recipe, self.grid.anatomy))
        return Ground(self.grid.anatomy, guidance=self.recipe.guidance > 1, off=off)

    @property
    def planned(self) -> Recipe:
        return self.recipe.model_copy(update={"plan": self.draft.plan.as_dict()})


def lay_at_least(studio: Studio, recipe: Recipe) -> PlanDesk:
    """A desk with the recipe's plan; where its method costs more than the budget, with the least it can do."""
    try:
        return lay(studio, recipe)
    except BelowLeast as error:
        return lay(studio, error.at_least(recipe))


def lay(studio: Studio, recipe: Recipe, plan: Plan | None = None) -> PlanDesk:
    """A desk with the recipe's plan, or with one of its own number of steps. Raises PlanRefused."""
    plan = plan or studio.plan(recipe)
    bare = recipe.model_copy(
        update={"plan": None, "method": "hgc", "budget": None, "at_least": None, "steps": plan.steps}
    )
    laid = PlanDesk(Draft(plan), bare, PlanGrid(studio.anatomy()))
    check(plan, laid.grid.anatomy, plan.steps)
    laid.ground.play(plan)
    return laid
