"""A recipe on a model: what a method plans for, and what plans cost there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Macs
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.planning.blueprint import Blueprint
from hgc.request import Recipe

R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Task:
    """A recipe and the model that it is to be run on."""

    recipe: Recipe
    blueprint: Blueprint

    @property
    def anatomy(self) -> Anatomy:
        return self.blueprint.anatomy

    @property
    def weights(self) -> str:
        """Names the loaded weights, which measurements must be of."""
        return self.blueprint.weights(self.recipe.control)

    @property
    def steps(self) -> int:
        return self.recipe.steps

    @property
    def guided(self) -> bool:
        """Whether there are two branches."""
        return self.recipe.guidance > 1

    @cached_property
    def off(self) -> schedules.Off:
        """For every step, the ControlNets that are off in it."""
        return control_off(self.recipe)

    @property
    def first_control_step(self) -> int:
        """The step in which the control sets in; 0 when it never does, so that nothing is planned for it."""
        return next((step for step, names in enumerate(self.off) if not names), 0)

    @cached_property
    def whole(self) -> Macs:
        """The cost of full compute."""
        return self.cost(schedules.full(self.anatomy, self.steps))

    def cost(self, plan: Plan) -> Macs:
        """The cost of a plan here; one of other steps is run with as many. Nothing is refreshed at run time."""
        return plan_macs(plan, self.anatomy, guidance=self.guided, off=control_off(at_steps(self.recipe, plan.steps)))

    def share(self, plan: Plan) -> float:
        """The plan's part of full compute, in the paper's convention."""
        return self.cost(plan).paper / self.whole.paper


def control_off(recipe: Recipe) -> schedules.Off:
    """For every step, the ControlNets whose scale is zero in it, by diffusers' rule for the guidance window."""
    steps, start, end = recipe.steps, recipe.control_start, recipe.control_end
    inside = [recipe.control_scale > 0 and i / steps >= start and (i + 1) / steps <= end for i in range(steps)]
    return tuple(frozenset() if on else frozenset({"controlnet"}) for on in inside)


def at_steps(recipe: R, steps: int) -> R:
    """The same with that number of steps, fewer than one may ask for included."""
    return recipe if steps == recipe.steps else recipe.model_copy(update={"steps": steps})
