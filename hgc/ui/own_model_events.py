"""The answers to the form for a model of one's own: looked at, fetched, opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.models.loras import add_lora
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import forget, remember
from hgc.refused import Refused
from hgc.ui.model_fetching import Fetching
from hgc.ui.model_header import Header, Updates, known_models, model_choices
from hgc.ui.own_model import FormFault, ModelForm, check_permitted, lora_words, recognise, sentence, words_of
from hgc.ui.own_model_panel import noted
from hgc.ui.playground.model_fit import loras_offered
from hgc.ui.refusals import in_one_sentence
from hgc.ui.whereabouts import at_this_machine

if TYPE_CHECKING:
    from hgc.ui.loader import Loader
    from hgc.ui.playground.lora_panel import LoraPanel

Choose = Callable[..., Iterator[Updates]]


class OwnModelEvents:
    """Of one page; `choose` loads a model by its name, as the picker does."""

    def __init__(self, header: Header, loader: Loader, fetching: Fetching, choose: Choose, loras: LoraPanel) -> None:
        self._header, self._loader, self._fetching, self._choose = header, loader, fetching, choose
        self._loras = loras

    def look(self, page: gr.Request, *values: Any) -> Updates:
        """The form's model: what it is, its memory, and whether it can be opened or has to be fetched."""
        from hgc.models.prediction import asks_prediction

        own, asked = self._header.own, ModelForm.of(values)
        hidden = dict.fromkeys((own.open, own.fetch, own.prediction), gr.update(visible=False))
        blank: Updates = {own.told: "", **hidden}
        try:
            check_permitted(asked, at_this_machine(page))
            if asked.missing:
                return blank | noted(own) | self._offered(asked)
            if words := lora_words(asked, self._loader.studio()):
                return (
                    blank
                    | noted(own)
                    | {
                        own.told: f'<p class="lead">{escape(words)}</p>',
                        own.open: gr.update(value="Add", visible=True),
                    }
                )
            preset = recognise(asked, at_this_machine(page))
            words = words_of(preset, asked.kind if asked.control else None)
        except FormFault as fault:
            return blank | noted(own, fault)
        except Refused as error:
            return blank | noted(own) | {own.told: sentence(in_one_sentence(error))}
        predicting = {own.prediction: gr.update(visible=asks_prediction(preset.source))}
        return blank | noted(own) | predicting | {own.told: words, own.open: gr.update(value="Open", visible=True)}

    def _offered(self, asked: ModelForm) -> Updates:
        """Size and licence of what is not here, as the Hub says them."""
        from hgc.models.fetching import offer

        own = self._header.own
        try:
            offers = [str(offer(source)) for source in asked.missing]
        except ModelUnavailable as error:
            return {own.told: sentence(str(error))}
        words = [*offers, "Nothing is fetched before you say so."]
        told = "".join(f'<p class="lead">{escape(sentence)}</p>' for sentence in words)
        return {own.told: told, own.fetch: gr.update(visible=True)}

    def fetch(self, page: gr.Request, *values: Any) -> Iterator[Updates]:
        """Fetches what of the form's model is not here, then looks at it."""
        own, asked = self._header.own, ModelForm.of(values)
        try:
            check_permitted(asked, at_this_machine(page))
        except FormFault as fault:
            yield noted(own, fault)
            return
        error = yield from self._fetching.run(page, " and ".join(asked.missing), lambda: asked.missing)
        if error is not None:
            yield self._header.says(in_one_sentence(error), "error") | {own.fetch: gr.update(visible=True)}
            return
        yield (
            self._header.says("") | self.look(page, *values) | {self._header.picker: gr.update(choices=model_choices())}
        )

    def open(self, page: gr.Request, *values: Any) -> Iterator[Updates]:
        """Remembers the form's model and loads it; where that fails, all is as before."""
        own, fields = self._header.own, len(self._header.own.fields)
        asked, chosen = ModelForm.of(values[:fields]), values[fields:]
        try:
            check_permitted(asked, at_this_machine(page))
            if lora_words(asked, studio := self._loader.studio()):
                name = add_lora(asked.what, asked.name or None)
                said = self._header.says(f"The LoRA {name} is in the list under LoRAs now, for models of its family.")
                yield {own.panel: gr.update(visible=False)} | said | loras_offered(self._loras, studio)
                return
            preset = recognise(asked, at_this_machine(page))
            before = known_models().get(preset.name)
            remember(preset)
        except FormFault as fault:
            yield noted(own, fault)
            return
        except Refused as error:
            yield {own.told: sentence(in_one_sentence(error))}
            return
        yield from self._choose(preset.name, *chosen)
        if self._loader.studio().loaded.preset != preset:
            forget(preset.name) if before is None else remember(before)
            yield {own.panel: gr.update(visible=True), self._header.picker: gr.update(choices=model_choices())}
