"""The answers to the model picker: a model that is here is loaded, and the form is set up for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.models import hub
from hgc.models.presets import CONTROLS, ModelPreset
from hgc.refused import Refused
from hgc.ui.components.inputs import chosen
from hgc.ui.masthead import masthead, ready_words
from hgc.ui.model_fetching import Fetching
from hgc.ui.model_header import OWN_MODEL, Header, Updates, known_models, model_choices, offered_controls
from hgc.ui.own_model_events import OwnModelEvents
from hgc.ui.playground.asked import asked_of
from hgc.ui.playground.cache_events import CacheEvents
from hgc.ui.playground.control_events import look_after
from hgc.ui.playground.model_fit import CANNY, SECOND, WHICH, fitted, fitted_by, fitted_parts, loras_offered, thresholds
from hgc.ui.playground.settling import settle_after
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence

if TYPE_CHECKING:
    from hgc.studio.studio import Studio
    from hgc.ui.playground.tab import Playground


class ModelEvents:
    """The answers to the picker and to what stands beside it."""

    def __init__(self, playground: Playground, header: Header) -> None:
        self._page, self._header, self._loader = playground, header, playground.runner.loader
        self.fetching = Fetching(header)

    @property
    def shown(self) -> list[Any]:
        """Everything that an answer may change."""
        header = self._header
        return [*header.parts, *fitted_parts(self._page), *header.own.answers]

    def choose(self, model: str, *chosen: Any) -> Iterator[Updates]:
        """Loads a model that is here; of another it is said what would have to be fetched; one's own has a form."""
        own = self._header.own
        if model == OWN_MODEL:
            yield self._standing() | self._header.says("") | {own.panel: gr.update(visible=self._loader.choice)}
            return
        yield {own.panel: gr.update(visible=False)}
        if (preset := known_models().get(model)) is None:
            yield self._unknown(model)
            return
        if (not preset.local and hub.missing_of(preset)) or not _controls_here(preset):
            yield self._header.offers(preset)
            return
        yield {self._header.masthead: masthead("loading", f"Loading {preset.title}"), **self._header.says("")}
        try:
            studio = self._loader.change(model, known_models()[model])
        except Exception as error:
            yield self._header.says(in_one_sentence(error), "error") | self._standing()
            return
        yield self._fit(studio, *chosen)

    def lacking(self, model: str, which: str, second: str) -> Updates:
        """Offers the chosen controls of the loaded model that are not here; without any, the card goes."""
        studio = self._loader.studio()
        return self._says([], studio, which, second) if model == studio.model else {self._header.told: gr.skip()}

    def _says(self, notes: Sequence[str], studio: Studio, *controls: str) -> Updates:
        """Notes on the loaded model, and the offer of its chosen controls that are not here."""
        absent = _absent(studio, *controls)
        offered = [offered_controls(studio.loaded.preset, absent)] if absent else []
        return self._header.says(" ".join([*notes, *offered])) | self._header.buttons(fetch=bool(absent))

    def fetch(self, page: gr.Request, model: str, *chosen: Any) -> Iterator[Updates]:
        """Fetches the chosen model with its first control, or what is chosen and not here of the loaded one's; tells
        how far it is, and loads it.
        """
        from hgc.models.fetching import sources_of

        studio = self._loader.studio()
        absent = _absent(studio, chosen[WHICH], chosen[SECOND]) if model == studio.model else []
        if absent:
            yield from self._fetch_controls(page, studio, absent, *chosen)
            return
        if (preset := known_models().get(model)) is None:
            yield self._unknown(model)
            return
        first = [name for name in preset.controls if name == "edges"] or list(preset.controls)[:1]
        error = yield from self.fetching.run(page, preset.title, lambda: sources_of(model, first))
        if error is not None:
            yield self._header.says(in_one_sentence(error), "error") | self._header.buttons(fetch=True)
            return
        yield {self._header.picker: gr.update(choices=model_choices())}
        yield from self.choose(model, *chosen)

    def _fetch_controls(
        self, page: gr.Request, studio: Studio, absent: Sequence[str], *chosen: Any
    ) -> Iterator[Updates]:
        """Fetches controls of the loaded model, which is then loaded with them; the form stays as it is."""
        preset = studio.loaded.preset
        title = " and ".join(CONTROLS[name].lower() for name in absent)
        error = yield from self.fetching.run(page, title, lambda: [preset.controls[name] for name in absent])
        if error is None:
            yield self._header.says(f"Loading {preset.title} with {title}.")
            try:
                studio = self._loader.change(studio.model, preset, anew=True)
            except Refused as refused:
                error = refused
        if error is not None:
            yield self._header.says(in_one_sentence(error), "error") | self._header.buttons(fetch=True)
            return
        yield self._fit_again(studio, *chosen)

    def arrive(self, *chosen: Any) -> Updates:
        """When a page opens: what is here now, and the form as the loaded model wants it."""
        picker = self._header.picker
        choices: Updates = {picker: gr.update(choices=model_choices(), interactive=True)}
        try:
            studio = self._loader.studio()
        except Refused:
            return choices
        if not self._loader.changed:
            return (
                choices
                | loras_offered(self._page.control.more.loras, studio)
                | thresholds(self._page, studio, *chosen[CANNY])
            )
        fit = self._fit_again(studio, *chosen)
        return fit | {picker: fit[picker] | {"interactive": True}}

    def _fit_again(self, studio: Studio, *chosen: Any) -> Updates:
        """The form for the model that it was for, with the visitor's own settings of the picture and LoRAs."""
        loras, picture = self._page.control.more.loras, self._page.picture
        fit = self._fit(studio, *chosen)
        kept = (picture.sampler, picture.steps, picture.guidance, *loras.fitted)
        offered = loras_offered(loras, studio) | self._says([], studio, chosen[WHICH], chosen[SECOND])
        return {part: update for part, update in fit.items() if part not in kept} | offered

    def _fit(self, studio: Studio, *chosen: Any) -> Updates:
        """The form for a model that has just been loaded, and what is to be said of it."""
        fit = fitted(self._page, studio, *chosen)
        return {
            self._header.masthead: masthead("ready", ready_words(studio)),
            self._header.picker: gr.update(choices=model_choices(), value=studio.model),
            **fit.updates,
        } | self._says(fit.notes, studio, *fit.controls)

    def _unknown(self, model: str) -> Updates:
        return self._header.says(f"There is no model '{model[:80]}' any more.", "error") | self._standing()

    def _standing(self) -> Updates:
        """The model that is loaded still."""
        studio = self._loader.studio()
        ready = masthead("ready", ready_words(studio))
        return {self._header.masthead: ready, self._header.picker: gr.update(value=studio.model)}


def _absent(studio: Studio, *controls: str) -> list[str]:
    """Those of a model's controls whose weights are not here."""
    return [name for name in controls if name in studio.loaded.preset.controls and name not in studio.controls]


def _controls_here(preset: ModelPreset) -> bool:
    return preset.local or any(hub.is_here(source) for source in preset.controls.values())


def wire_models(p: Playground, header: Header, greeted: Any) -> None:
    """Choosing and fetching, then the forecast and the map as the new model has them."""
    events, caches = ModelEvents(p, header), CacheEvents(p)
    panel, form = p.control, fitted_by(p)
    given = [header.picker, *form]
    shown = events.shown
    arrived = greeted.then(events.arrive, form, shown, **QUIET)
    own, loras = header.own, panel.more.loras
    mine = OwnModelEvents(header, p.runner.loader, events.fetching, events.choose, loras)
    alone = {"concurrency_limit": 1, "concurrency_id": "models", **QUIET}
    opened = own.open.click(mine.open, [*own.fields, *form], shown, **alone)
    gr.on([own.look.click, own.what.submit], mine.look, own.fields, own.answers, **QUIET)
    own.fetch.click(mine.fetch, own.fields, shown, **alone)
    own.close.click(lambda: gr.update(visible=False), None, own.panel, **QUIET)
    changed = (
        opened,
        chosen(header.picker)(events.choose, given, shown, **alone),
        header.fetch.click(events.fetch, given, shown, **alone),
    )
    for begun in changed:
        settle_after(begun.then, caches.follow, p, asked_of(p))
    for begun in (arrived, *changed):
        look_after(begun, p)
    second = panel.more.second.control
    asked = [header.picker, panel.which, second]
    for control in (panel.which, second):
        chosen(control)(events.lacking, asked, [*header.parts], **QUIET)
    header.stop.click(events.fetching.stop, None, None, queue=False, **QUIET)
