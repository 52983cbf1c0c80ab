"""The Playground's form as a Request, and a Request put back into the form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.control.images import decode
from hgc.control.pictures import INPAINT
from hgc.planning.methods import METHODS
from hgc.planning.presets import preset_of
from hgc.refused import Refused
from hgc.request import Recipe
from hgc.ui.pictures import png_url
from hgc.ui.playground.cache_panel import CUSTOM_REASON, read_settings, trust_in, verify_of, write_settings
from hgc.ui.playground.drawing import (
    AS_MAP,
    AUTO,
    ControlInput,
    offering,
    sheet_of,
    sources_of,
)
from hgc.ui.playground.map_seen import seen_picture, seen_text
from hgc.ui.playground.method_card import method_card
from hgc.ui.playground.more_fields import more_fields, more_written
from hgc.ui.playground.own_plan import own_plan
from hgc.ui.playground.picture_panel import new_seed
from hgc.ui.playground.reading_ways import ways_of
from hgc.ui.playground.size import size_of, written
from hgc.ui.playground.titles import NO_RIVAL, rival_of
from hgc.ui.playground.wanted import DIGITS, HGC, Wanted
from hgc.ui.remarks import aside

if TYPE_CHECKING:
    from hgc.cache.plan import Plan
    from hgc.request import Request
    from hgc.ui.playground.drawing import ControlMap
    from hgc.ui.playground.tab import Playground


def read_form(page: Playground, sheet: ControlMap, values: list[Any]) -> Request:
    """The form's values, in the order of `Playground.run_inputs`, as a request. Raises RequestRefused."""
    return read_recipe(page, sheet.control, values).with_map(sheet.png)


def read_recipe(page: Playground, control: str, values: list[Any]) -> Recipe:
    """The same without the drawing, which neither cost nor plan depends on. Raises RequestRefused."""
    names = list(page.fields)
    fields = dict(zip(names, values[: len(names)], strict=True))
    locked, own, method, preset, percent, hand, *rest = values[len(names) :]
    settings, more = rest[: len(page.cache.settings)], rest[len(page.cache.settings) :]
    fields["rival"], fields["verify"] = rival_of(fields["rival"]), verify_of(fields["verify"])
    if not locked or fields["seed"] is None:
        fields["seed"] = new_seed()
    plan = own_plan(page.runner, own)
    studio, size = page.runner.loader.studio(), size_of(fields["size"])
    fields |= {"size": size} | more_fields(studio, size, more)
    asked = Wanted(method, preset, percent, hand).fields(read_settings(settings))
    fields |= asked if plan is None else {"plan": plan.as_dict()}
    return Recipe.parse({"model": studio.model, "control": control} | fields)


def form_outputs(page: Playground) -> list[Any]:
    """The outputs of `write_form`."""
    control, cache = page.control, page.cache
    drawing = [
        *control.map,
        control.offered,
        control.painting,
        control.lines,
        control.photo,
        control.seen,
        control.notes,
    ]
    return [
        *page.fields.values(),
        *drawing,
        page.picture.lock,
        page.own.name,
        *page.control.more.inputs,
        cache.method,
        cache.method_reason,
        cache.preset,
        cache.reason,
        cache.budget,
        cache.at_least,
        cache.at_least_told,
        cache.hand,
        *cache.settings,
    ]


def write_form(page: Playground, request: Request, plan: Plan | None, drawn: bytes | None) -> dict[Any, Any]:
    """The updates that make the form ask for this request, whose cached arm runs `plan`, None where nobody knows it.

    `drawn` is the control map of what is on the canvas now; the same map leaves the drawing as it is. Settings stand
    in the form as settings, another method with its budget; a table stands there as a plan of its own.
    """
    values = field_values(page, request)
    updates: dict[Any, Any] = {component: values[name] for name, component in page.fields.items()}
    updates |= _caches(page, request, plan) | {page.picture.lock: True} | more_written(page.control.more, request)
    return updates | (_kind(page, request) if drawn == request.control_bytes else _on_canvas(page, request))


def field_values(page: Playground, request: Request) -> dict[str, Any]:
    """The request's fields as the form's components hold them."""
    own = {"rival": request.rival or NO_RIVAL, "verify": trust_in(request.verify), "size": written(request.size)}
    return request.model_dump(include=set(page.fields)) | own


def _caches(page: Playground, request: Request, plan: Plan | None) -> dict[Any, Any]:
    cache = page.cache
    updates: dict[Any, Any] = {
        cache.method: request.method,
        cache.method_reason: method_card(METHODS[request.method]),
        cache.preset: None,
        cache.reason: aside(CUSTOM_REASON),
        cache.hand: request.budget is None,
        cache.at_least: request.at_least or "",
        cache.at_least_told: "",
        page.own.name: "",
    }
    plan = plan or request.own_plan
    if request.plan is not None and plan is not None:
        return updates | {page.own.name: page.runner.plans.keep(plan), page.picture.steps: plan.steps}
    if request.budget is not None:
        preset = preset_of(request.budget)
        # Beside a preset, which counts, the slider stands as that preset puts it.
        percent = round(100 * request.budget, DIGITS) if preset is None else round(100 * request.budget)
        updates |= {cache.budget: percent, cache.preset: preset and preset.name}
    if request.method != HGC:
        method = METHODS[request.method]
        return updates | {cache.coarse: method.coarse, cache.fine: method.fine}
    try:
        settings = page.runner.loader.studio().settings(request)
    except Refused:  # of another model than the loaded one: nothing is planned for it here
        settings = request.cache
    return updates | dict(zip(cache.settings, write_settings(settings), strict=True))


def _kind(page: Playground, request: Request) -> dict[Any, Any]:
    """The kind of map, where it is not one that what is drawn tells."""
    panel, studio = page.control, page.runner.loader.studio()
    if request.control in ("segmentation", "edges") or request.control not in studio.loaded.preset.controls:
        return {}
    sources = sources_of(studio.controls, request.control, studio.world.painted)
    source = {} if "paint" in sources or not sources else {panel.source: sources[0]}
    return {panel.which: request.control, panel.offered: offering(sources), **source}


def _on_canvas(page: Playground, request: Request) -> dict[Any, Any]:
    """The control map as a drawing on the canvas of its kind; of a kind that is not drawn, as a finished map."""
    panel, shown = page.control, decode(request.control_bytes).pixels
    studio, given = page.runner.loader.studio(), ControlInput(shown, request.control)
    seen = {panel.seen: seen_picture(shown), panel.notes: seen_text((), given)}
    if request.control not in ("segmentation", "edges"):
        which = request.control if request.control in studio.loaded.preset.controls else AUTO
        ways = gr.update(choices=ways_of(studio.controls, request.control), value=AS_MAP)
        offered = offering(sources_of(studio.controls, which, studio.world.painted))
        if which == INPAINT:  # whose picture and mask come back where they are given
            return {panel.which: which, panel.offered: offered, **seen}
        chosen = {panel.source: "photo", panel.which: which, panel.annotator: ways, panel.offered: offered}
        return {**chosen, panel.photo: shown, **seen}
    source, canvas = ("paint", panel.painting) if request.control == "segmentation" else ("lines", panel.lines)
    offered = offering(sources_of(studio.controls, AUTO, studio.world.painted))
    chosen = {panel.source: source, panel.which: AUTO, panel.offered: offered}
    return {**chosen, canvas: png_url(sheet_of(shown, request.control)), **seen}
