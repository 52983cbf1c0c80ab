"""What happens when a preset, the budget or a setting of the caches is changed; and what the run will cost then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.request import CacheSettings
from hgc.ui import figures
from hgc.ui.cache_panel import CUSTOM_REASON, FIRST_PRESET, read_settings, write_settings
from hgc.ui.own_plan import own_plan
from hgc.ui.queueing import QUIET
from hgc.ui.runner import REFUSALS, blank_png, in_one_sentence, made

if TYPE_CHECKING:
    from hgc.ui.playground import Playground

COST_FIELDS = ("steps", "sampler", "guidance", "control_scale", "control_start", "control_end")
BY_HAND_JS = f"() => [null, '<p class=\"aside\">{CUSTOM_REASON}</p>']"


class CacheEvents:
    """What the panel's inputs do."""

    def __init__(self, playground: Playground) -> None:
        self._runner, self._panel = playground.runner, playground.cache
        self._loader = playground.runner.loader

    def from_preset(self, preset: str | None, steps: int, guidance: float) -> list[Any]:
        """What a preset means on this model, and why one would take it."""
        if preset is None:
            return [gr.skip()] * (len(self._panel.settings) + 2)
        studio = self._loader.studio()
        named = next(known for known in studio.presets() if known.name == preset)
        budget = 100 if named.budget is None else round(100 * named.budget)
        return [*self._written(lambda: studio.settings_for(preset, steps, guidance=guidance > 1), named.reason), budget]

    def from_budget(self, percent: float, steps: int, guidance: float) -> list[Any]:
        """The settings that stay within a share of full compute."""
        studio = self._loader.studio()
        share = percent / 100
        return [*self._written(lambda: studio.settings_for(share, steps, guidance=guidance > 1), CUSTOM_REASON), None]

    def _written(self, find: Callable[[], CacheSettings], reason: str) -> list[Any]:
        try:
            found = find()
        except REFUSALS as error:
            return [*[gr.skip()] * len(self._panel.settings), figures.notes_list([str(error)], "error")]
        return [*write_settings(found), _aside(reason)]

    def price(self, *values: Any) -> str:
        """What the cached arm will cost with these settings."""
        *cost, own = values
        fields = dict(zip(COST_FIELDS, cost[: len(COST_FIELDS)], strict=True))
        return self._price(fields, read_settings(cost[len(COST_FIELDS) :]), own)

    def _price(self, fields: dict[str, Any], cache: dict[str, Any], own: str | None = None) -> str:
        try:
            studio, plan = self._loader.studio(), own_plan(self._runner, own)
            fields = fields | {"plan": None if plan is None else plan.as_dict()}
            request = made(blank_png(studio.size), fields, cache, studio.model)
            return figures.forecast_line(studio.forecast(request))
        except Exception as error:
            return figures.forecast_waiting(in_one_sentence(error))

    def greet(self, preset: str | None, steps: int) -> list[Any]:
        """When a page opens: waits for the model, then fills in what only it can say."""
        chosen = preset or FIRST_PRESET
        try:
            studio = self._loader.studio()
            found = studio.settings_for(chosen, steps)
        except REFUSALS as error:
            failed = figures.forecast_waiting(str(error))
            untouched = [gr.skip()] * len(self._panel.settings)
            return [figures.masthead("failed", "Model not loaded"), failed, *untouched, ""]
        reason = next(known.reason for known in studio.presets() if known.name == chosen)
        ready = f"{studio.model.capitalize()} · {studio.device.upper()} · {studio.dtype}"
        cost = self._price({"steps": steps}, found.model_dump())
        return [figures.masthead("ready", ready), cost, *write_settings(found), _aside(reason)]


def _aside(text: str) -> str:
    return f'<p class="aside">{text}</p>'


def wire_cache(p: Playground) -> None:
    """Presets and the budget write the settings; whatever changes the cost is priced anew."""
    events, panel, steps, guidance = CacheEvents(p), p.cache, p.picture.steps, p.picture.guidance
    written = [*panel.settings, panel.reason]
    last: dict[str, Any] = {"trigger_mode": "always_last", **QUIET}
    chosen = [panel.preset.input, steps.release, guidance.release]
    presets = gr.on(chosen, events.from_preset, [panel.preset, steps, guidance], [*written, panel.budget], **last)
    asked = [panel.budget, steps, guidance]
    budgets = panel.budget.input(events.from_budget, asked, [*written, panel.preset], **last)
    by_hand = [component.input for component in panel.settings]
    gr.on(by_hand, None, None, [panel.preset, panel.reason], js=BY_HAND_JS, api_visibility="private")

    priced: dict[str, Any] = {"fn": events.price, "inputs": [*cost_inputs(p), p.own.name], "outputs": p.forecast}
    for written_to in (presets, budgets):
        written_to.then(**priced, **QUIET)
    edited = [component.input for component in cost_inputs(p)]
    gr.on([*edited, p.own.name.change, p.results.run_id.change], **priced, **last)


def cost_inputs(p: Playground) -> list[Any]:
    """What the forecast depends on."""
    return [*(p.picture.fields[name] for name in COST_FIELDS), *p.cache.settings]


def wire_greeting(page: gr.Blocks, p: Playground, header: gr.HTML) -> None:
    """What to do when a page opens."""
    outputs = [header, p.forecast, *p.cache.settings, p.cache.reason]
    page.load(CacheEvents(p).greet, [p.cache.preset, p.picture.steps], outputs, concurrency_limit=None, **QUIET)
