"""A model as planning sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from hgc.cache.anatomy import Anatomy
from hgc.models.presets import SAMPLER_NAMES
from hgc.request import Lora, Recipe, RequestRefused


@dataclass(frozen=True)
class Blueprint:
    """A model's name, the anatomy of the networks that a recipe runs, and what it has.

    `weights` takes a control and gives twelve hex digits, as calibrations have them. It may have to read all weights
    through, so it is only asked where a method goes by something that was measured on them.
    """

    model: str
    anatomy: Callable[[Recipe], Anatomy]
    controls: Collection[str]
    weights: Callable[[str], str]
    samplers: Collection[str] = SAMPLER_NAMES
    loras: tuple[Lora, ...] = ()

    def check(self, recipe: Recipe) -> None:
        """Raises RequestRefused for a recipe of another model, or of a control, sampler or LoRA that this has not."""
        name = self.model
        if recipe.model != name:
            raise RequestRefused(f"the request is for model '{recipe.model}', loaded is '{name}'")
        for control in recipe.controls:
            if control not in self.controls:
                raise RequestRefused(f"{name} has no control '{control}'; it has {', '.join(self.controls)}")
        if recipe.sampler not in self.samplers:
            raise RequestRefused(f"{name} has no sampler '{recipe.sampler}'; it has {', '.join(self.samplers)}")
        if recipe.loras != self.loras:
            asked, here = (_listed(loras) for loras in (recipe.loras, self.loras))
            raise RequestRefused(f"the request is for {asked}, {name} is loaded with {here}; load it with the same")


def _listed(loras: tuple[Lora, ...]) -> str:
    return ", ".join(f"LoRA {lora.name} × {lora.weight:g}" for lora in loras) or "no LoRA"
