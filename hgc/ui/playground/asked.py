"""What the form asks for that plans and their cost depend on: its inputs, and their values as a recipe's fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hgc.request import Recipe
from hgc.ui.playground.drawing import PAINTED
from hgc.ui.playground.lora_panel import INPUTS
from hgc.ui.playground.more_fields import priced_fields
from hgc.ui.playground.reading_ways import LANDSCAPES
from hgc.ui.playground.wanted import Wanted, control_of

if TYPE_CHECKING:
    from hgc.ui.loader import Loader
    from hgc.ui.playground.tab import Playground

COST_FIELDS = ("steps", "sampler", "guidance", "control_scale", "control_start", "control_end")
MORE_END = len(COST_FIELDS) + 7 + INPUTS  # those of MorePanel.cost follow


def asked_of(p: Playground) -> list[Any]:
    """The inputs of `CacheEvents.settle`, as `read_asked` reads them."""
    return [*p.cache.wanted, *p.control.map, *_cost_fields(p)]


def cost_inputs(p: Playground) -> list[Any]:
    """The inputs that the forecast depends on."""
    return [*asked_of(p), p.cache.rival, *p.cache.settings]


def _cost_fields(p: Playground) -> list[Any]:
    return [*(p.picture.fields[name] for name in COST_FIELDS), *p.control.more.cost]


def read_asked(loader: Loader, values: Sequence[Any]) -> tuple[Wanted, dict[str, Any], Sequence[Any]]:
    """The values of `cost_inputs`: what is wanted, the request's fields, and the rest.

    While a model is loading, the controls are those of the model that the page opens with.
    """
    controls: tuple[str, ...] = LANDSCAPES
    areas: tuple[str, ...] = PAINTED
    if loader.ready:
        controls, areas = loader.studio().controls, loader.studio().world.painted
    method, preset, percent, hand, source, annotator, which, *rest = values
    fields = dict(zip(COST_FIELDS, rest, strict=False))
    fields["control"] = control_of(source, annotator, which, controls, areas)
    return (
        Wanted(method, preset, percent, hand),
        fields | priced_fields(*rest[len(COST_FIELDS) : MORE_END]),
        rest[MORE_END:],
    )


def recipe_of(loader: Loader, fields: dict[str, Any]) -> Recipe:
    """The fields as a recipe for the loaded model. Raises Refused."""
    return Recipe.parse({"model": loader.studio().model} | fields)
