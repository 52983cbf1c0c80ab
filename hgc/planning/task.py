"""A model as planning sees it, and a recipe on it: what a method plans for, and what plans cost there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Kind, Macs
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import most_macs
from hgc.models.presets import SAMPLER_NAMES
from hgc.request import Recipe, RequestRefused


@dataclass(frozen=True)
class Blueprint:
    """A model's name, the anatomy of the networks that a recipe runs, and what it has.

    `weights` takes a recipe and gives twelve hex digits, as calibrations have them. It may have to read all weights
    through, so it is only asked where a method goes by something that was measured on them. Where it is not `adaptable`
    a recipe names no LoRAs. `missing` are controls that the model has, but whose weights are not on this machine.
    """

    model: str
    anatomy: Callable[[Recipe], Anatomy]
    controls: Collection[str]
    weights: Callable[[Recipe], str]
    samplers: Collection[str] = SAMPLER_NAMES
    adaptable: bool = False
    missing: Collection[str] = ()

    def check(self, recipe: Recipe) -> None:
        """Raises RequestRefused for a recipe of another model, or of a control, sampler or LoRA that this has not."""
        name = self.model
        if recipe.model != name:
            raise RequestRefused(f"the request is for model '{recipe.model}', loaded is '{name}'")
        for control in recipe.controls:
            if control in self.missing:
                remedy = f"fetch it with `hgc models fetch {name} --control {control}`"
                raise RequestRefused(f"{name}: the ControlNet for '{control}' is not here; {remedy}")
            if control not in self.controls:
                raise RequestRefused(f"{name} has no control '{control}'; it has {', '.join(self.controls)}")
        if recipe.sampler not in self.samplers:
            raise RequestRefused(f"{name} has no sampler '{recipe.sampler}'; it has {', '.join(self.samplers)}")
        if recipe.loras and not self.adaptable:
            raise RequestRefused(f"{name} takes no LoRAs here; leave out {recipe.loras[0].name[:80]}")


R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Task:
    """A recipe and the model that it is to be run on."""

    recipe: Recipe
    blueprint: Blueprint

    @cached_property
    def anatomy(self) -> Anatomy:
        """The sites of the networks that the recipe runs, at its size."""
        return self.blueprint.anatomy(self.recipe)

    @property
    def weights(self) -> str:
        """Names the loaded weights, which measurements must be of."""
        return self.blueprint.weights(self.recipe)

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
        return control_off(self.recipe, self.anatomy)

    @property
    def first_control_step(self) -> int:
        """The step in which the last control sets in; one that never does has nothing planned for it."""
        on = [[net not in names for names in self.off] for net in control_nets(self.anatomy)]
        return max((steps.index(True) for steps in on if any(steps)), default=0)

    @cached_property
    def whole(self) -> Macs:
        """The cost of full compute."""
        return self.cost(schedules.full(self.anatomy, self.steps))

    def cost(self, plan: Plan) -> Macs:
        """The cost of a plan here; one of other steps is run with as many.

        As much is refreshed at run time as its gate is bound to; nothing where it has no bound.
        """
        off = control_off(at_steps(self.recipe, plan.steps), self.anatomy)
        return most_macs(plan, self.anatomy, guidance=self.guided, off=off)

    def share(self, plan: Plan) -> float:
        """The plan's part of full compute, in the paper's convention."""
        return self.cost(plan).paper / self.whole.paper


def control_off(recipe: Recipe, anatomy: Anatomy) -> schedules.Off:
    """For every step, the ControlNets whose scale is zero in it, by diffusers' rule for the guidance window.

    A network of its own for each control; else they are one (a Union reads several), off when all controls are.
    """
    nets = control_nets(anatomy)
    inside = [_inside(recipe.steps, recipe.control_scale, recipe.control_start, recipe.control_end)]
    if (second := recipe.second) is not None:
        inside.append(_inside(recipe.steps, second.scale, second.start, second.end))
    if len(nets) != len(inside):
        return tuple(frozenset() if any(on) else frozenset(nets) for on in zip(*inside, strict=True))
    return tuple(
        frozenset(net for net, on in zip(nets, step, strict=True) if not on) for step in zip(*inside, strict=True)
    )


def control_nets(anatomy: Anatomy) -> tuple[str, ...]:
    """The names of the ControlNets, in the pipeline's order."""
    return tuple(dict.fromkeys(site.name.rpartition(".controlnet_")[0] for site in anatomy.of(Kind.RESIDUAL)))


def _inside(steps: int, scale: float, start: float, end: float) -> list[bool]:
    return [scale > 0 and i / steps >= start and (i + 1) / steps <= end for i in range(steps)]


def at_steps(recipe: R, steps: int) -> R:
    """The same with that number of steps, fewer than one may ask for included."""
    return recipe if steps == recipe.steps else recipe.model_copy(update={"steps": steps})
