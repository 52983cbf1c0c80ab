"""The events of presets, budget and cache settings: each is planned, and the answer written into the form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.planning.methods import METHODS
from hgc.planning.presets import PRESETS, by_budget
from hgc.refused import Refused
from hgc.request import Recipe
from hgc.target import milliseconds
from hgc.ui.components.inputs import chosen
from hgc.ui.playground.asked import asked_of, read_asked, recipe_of
from hgc.ui.playground.cache_panel import CUSTOM_REASON, write_settings
from hgc.ui.playground.method_card import method_card
from hgc.ui.playground.settling import settle_after, wire_settling
from hgc.ui.playground.wanted import DIGITS, HGC, Wanted, within_reach
from hgc.ui.remarks import aside, notes_list

if TYPE_CHECKING:
    from hgc.planning.in_time import InTime
    from hgc.planning.quality import Solution
    from hgc.ui.playground.cache_panel import CachePanel
    from hgc.ui.playground.tab import Playground

BY_HAND = (None, aside(CUSTOM_REASON), HGC, method_card(METHODS[HGC]), True)
NO_TARGET = ("", "", "")
BY_HAND_JS = f"() => hgc.setByHand({json.dumps((*BY_HAND, *NO_TARGET))})"
NOT_BY_HAND_JS = f"() => {json.dumps((False, *NO_TARGET))}"
NO_TARGET_JS = f"() => {json.dumps(NO_TARGET)}"
AS_IS_JS = "(value) => value"
# An empty field asks for nothing: what was asked for elsewhere stays in force.
NOTHING_TOLD_JS = "(target) => (target.trim() ? {__type__: 'update'} : '')"
TARGET_JS = "(_, target, ...values) => (target.trim() ? hgc.asking([target, ...values]) : ['', target, ...values])"


class CacheEvents:
    """The answers to the panel's inputs."""

    def __init__(self, playground: Playground) -> None:
        self._panel, self._loader = playground.cache, playground.runner.loader

    def settle(self, *values: Any) -> list[Any]:
        """The method's settings for the share that is set, and why one would take them."""
        wanted, fields, _ = read_asked(self._loader, values)
        try:
            studio = self._loader.studio()
            reach = within_reach(studio, recipe_of(self._loader, fields | by_budget(wanted.method, wanted.share)))
            settings = self._settings(reach.recipe)
        except Refused as error:
            return [*[gr.skip()] * len(self._panel.settings), *_told(wanted, str(error))]
        return [*settings, *_told(wanted, reach.sentence)]

    def lacks(self, *values: Any) -> Refused | None:
        """The refusal, where the wanted method cannot plan at all for these values."""
        wanted, fields, _ = read_asked(self._loader, values)
        try:
            within_reach(
                self._loader.studio(), recipe_of(self._loader, fields | by_budget(wanted.method, wanted.share))
            )
        except Refused as error:
            return error
        return None

    def plain(self, *values: Any) -> Recipe:
        """The same run with exact savings only, which every form can be costed by."""
        _, fields, _ = read_asked(self._loader, values)
        return recipe_of(self._loader, fields | {"method": HGC, "budget": 1.0})

    def _settings(self, recipe: Recipe) -> list[Any]:
        """The panel's values: HGC's settings for the budget, and the switches as the method has them.

        Another method's switches show what it keeps, nothing where exact savings are enough; the settings are there for
        whoever presses one.
        """
        studio, method = self._loader.studio(), METHODS[recipe.method]
        if recipe.method == HGC:
            return write_settings(studio.settings(recipe))
        settings = studio.settings(within_reach(studio, recipe.but(method=HGC)).recipe)
        coarse, fine = (False, False) if settings.off else (method.coarse, method.fine)
        return [coarse, fine, *write_settings(settings)[2:]]

    def follow(self, *values: Any) -> list[Any]:
        """The same, where nobody has set them by hand."""
        wanted, *_ = read_asked(self._loader, values)
        if wanted.by_hand:
            return [*[gr.skip()] * len(self._panel.settings), *_told(wanted, "")]
        return self.settle(*values)

    def from_budget(self, method: str, preset: str | None, percent: float, hand: bool, *values: Any) -> list[Any]:
        """The same for a share that no preset names."""
        if hand:
            return []
        *settings, why, reason, _ = self.settle(method, None, percent, False, *values)
        return [*settings, why, reason, gr.skip(), None]

    def from_target(self, at_least: str, *values: Any) -> list[Any]:
        """The same for the cheapest budget that was measured to be as like the full picture as that, and how surely.

        A time is what a picture may take on this device. Why not, where there is none.
        """
        if not at_least.strip():
            return []
        wanted, fields, _ = read_asked(self._loader, values)
        try:
            solution = self._solution(fields | {"method": wanted.method}, at_least)
        except Refused as error:
            sentence = str(error).removeprefix("at_least: ")
            # What was asked for before is no longer answered: the form as it stands is settled here.
            return [*self.follow(*values), gr.skip(), gr.skip(), notes_list([sentence], "error")]
        percent = round(100 * solution.budget, DIGITS)
        *settled, _ = self.settle(wanted.method, None, percent, False, *values[4:])
        return [*settled, percent, None, False, aside(solution.sentence)]

    def _solution(self, fields: dict[str, Any], target: str) -> Solution | InTime:
        """The budget for a likeness, or for a time on this device. Raises PlanRefused, RequestRefused."""
        if (most_ms := milliseconds(target)) is not None:
            return self._loader.studio().in_time(recipe_of(self._loader, fields | {"budget": 1.0}), most_ms)
        return self._loader.studio().solution(recipe_of(self._loader, fields | {"at_least": target}))


def _told(wanted: Wanted, sentence: str) -> list[Any]:
    """Why the method, why the share or what had to be changed of it, and where the budget's slider stands."""
    named = None if wanted.preset is None else PRESETS[wanted.preset.lower()]
    reason = CUSTOM_REASON if named is None else named.reason
    percent = gr.skip() if named is None else round(100 * wanted.share)
    return [
        method_card(METHODS[wanted.method]),
        aside(sentence[:1].upper() + sentence[1:] or reason),
        percent,
    ]


def wire_cache(p: Playground) -> None:
    """Method, preset and budget write the settings, as the server plans them.

    What each does at once it does in the browser, so that a Run that comes before the settings knows what counts.
    """
    events, panel, picture = CacheEvents(p), p.cache, p.picture
    asked = asked_of(p)
    last: dict[str, Any] = {"trigger_mode": "always_last"}
    sliders: tuple[gr.Slider, ...] = (
        picture.steps,
        picture.guidance,
        picture.scale,
        picture.start,
        picture.end,
    )
    more = p.control.more
    sliders += (*more.second.weights, more.source.strength)
    changes = [*(slider.release for slider in sliders), chosen(picture.sampler), p.control.source.input]
    changes += [p.control.which.change, more.size.change, more.second.control.change, more.source.picture.change]
    changes += [name.change for name in more.loras.names]
    mine: dict[str, Any] = {"api_visibility": "private"}
    target = [panel.at_least, panel.target, panel.at_least_told]  # which was not solved for what is set now
    changed = gr.on(changes, None, None, target, js=NO_TARGET_JS, **mine)
    settle_after(changed.then, events.follow, p, asked, **last)
    unset: dict[str, Any] = {"js": NOT_BY_HAND_JS, **mine}
    method = gr.on([panel.method_chosen, panel.preset.input], None, None, [panel.hand, *target], **unset)
    settle_after(method.then, events.follow, p, asked, **last)
    share = panel.budget.input(None, None, [panel.hand, *target], **unset)
    settle_after(share.then, events.from_budget, p, asked, **last)
    gr.on(panel.setting, None, None, [*by_hand_of(panel), *target], js=BY_HAND_JS, **mine)
    gr.on([panel.at_least.submit, panel.at_least.blur], None, panel.at_least, panel.target, js=AS_IS_JS, **mine)
    given = panel.target.change(None, panel.target, panel.at_least_told, js=NOTHING_TOLD_JS, **mine)
    settle_after(given.then, events.from_target, p, [panel.target, *asked], asking_js=TARGET_JS, **last)
    wire_settling(p)


def by_hand_of(panel: CachePanel) -> list[Any]:
    """The outputs of BY_HAND."""
    return [panel.preset, panel.reason, panel.method, panel.method_reason, panel.hand]
