"""A model as planning sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from hgc.cache.anatomy import Anatomy
from hgc.request import Recipe, RequestRefused


@dataclass(frozen=True)
class Blueprint:
    """The anatomy of a model's networks, its controls, and what names the weights that are loaded.

    `weights` takes a control and gives twelve hex digits, as calibrations have them. It may have to read all weights
    through, so it is only asked where a method goes by something that was measured on them.
    """

    anatomy: Anatomy
    controls: Collection[str]
    weights: Callable[[str], str]

    def check(self, recipe: Recipe) -> None:
        """Raises RequestRefused for a recipe of another model, or of a control that this one has not."""
        name = self.anatomy.model
        if recipe.model != name:
            raise RequestRefused(f"the request is for model '{recipe.model}', loaded is '{name}'")
        if recipe.control not in self.controls:
            raise RequestRefused(f"{name} has no control '{recipe.control}'; it has {', '.join(self.controls)}")
