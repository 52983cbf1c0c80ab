"""The model picker in the header: what is here, what would have to be fetched, one's own; choosing one loads it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.control import ade20k, coco_stuff
from hgc.control.images import ImageRefused
from hgc.control.label_sets import taken_over
from hgc.landscapes.labels import LABELS
from hgc.models import hub
from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import forget, remember, remembered
from hgc.refused import Refused
from hgc.ui.components.easel import from_url
from hgc.ui.components.inputs import chosen
from hgc.ui.own_model import (
    OWN_MODEL,
    Asked,
    Fault,
    OwnModelPanel,
    at_this_machine,
    build_own_model,
    check_permitted,
    noted,
    recognise,
    sentence,
    words_of,
)
from hgc.ui.pictures import png_url
from hgc.ui.playground import figures
from hgc.ui.playground.cache_events import CacheEvents, asked_of
from hgc.ui.playground.control_events import ControlEvents
from hgc.ui.playground.control_panel import AS_DRAWN, class_title, palettes
from hgc.ui.playground.drawing import AUTO, offering, sources_of
from hgc.ui.playground.reading_panel import control_titles, ways_of
from hgc.ui.playground.settling import settle_after
from hgc.ui.playground.titles import SAMPLER_TITLES
from hgc.ui.queueing import LOOK_QUEUE, QUIET
from hgc.ui.runner import in_one_sentence
from hgc.ui.transfers import Transfers

if TYPE_CHECKING:
    from hgc.models.fetching import FetchProgress
    from hgc.studio.studio import Studio
    from hgc.ui.loader import Loader
    from hgc.ui.playground.tab import Playground

Updates = dict[Any, Any]
SETS = (LABELS, ade20k.LABELS, coco_stuff.LABELS)  # that a drawing may be in
NOT_PAINTED = "Your painted areas stay on their canvas, but this model has no control of areas here: {}use a photo."
NO_CLASS = "Of your painted areas these have no class here and are left bare: {}."
NO_LINES = "Your lines stay on their canvas, but this model has no control of lines here: use a photo."
NO_LORA = "The LoRA {} is not for this model."


@dataclass(frozen=True)
class Header:
    """The top of the page; `card` is seen where there is something to say about a choice, `told`."""

    masthead: gr.HTML
    picker: gr.Dropdown
    card: gr.Row
    told: gr.HTML
    fetch: gr.Button
    stop: gr.Button
    own: OwnModelPanel


def known_models() -> Mapping[str, ModelPreset]:
    """All by name; of a damaged list of one's own, the others."""
    try:
        return {**presets(), **remembered()}
    except ModelUnavailable:
        return presets()


def model_choices() -> list[tuple[str, str]]:
    """Every model with how it stands, those first that are here; last, one's own."""
    known = sorted(known_models().items(), key=lambda item: bool(hub.missing_of(item[1])))
    listed = [(f"{preset.title} · {hub.state_of(preset)}", name) for name, preset in known]
    return [*listed, ("Your own…", OWN_MODEL)]


def build_header(loader: Loader) -> Header:
    """Lays it out."""
    with gr.Row(elem_id="top", equal_height=True):
        masthead = gr.HTML(figures.masthead("loading", "Loading the model"), elem_id="header")
        picker = gr.Dropdown(
            model_choices(),
            value="landscapes",
            label="Model",
            container=False,
            filterable=False,
            visible=loader.choice,
            elem_id="model",
            scale=0,
            min_width=260,
        )
    with gr.Row(visible=False, elem_id="model-card", elem_classes="card") as card:
        told = gr.HTML("", elem_id="model-told")
        fetch = gr.Button("Fetch", variant="primary", elem_id="fetch", min_width=90, scale=0)
        stop = gr.Button("Stop", visible=False, elem_id="stop-fetching", min_width=90, scale=0)
    return Header(masthead, picker, card, told, fetch, stop, build_own_model())


class ModelEvents:
    """The answers to the picker and to what stands beside it."""

    def __init__(self, playground: Playground, header: Header) -> None:
        self._page, self._header, self._loader = playground, header, playground.runner.loader
        self._transfers = Transfers()

    @property
    def shown(self) -> list[Any]:
        """Everything that an answer may change."""
        page, header = self._page, self._header
        own = [header.masthead, header.picker, header.card, header.told, header.fetch, header.stop]
        panel = page.control
        control = [*panel.map, panel.painting, panel.offered, panel.examples_panel]
        picture = [page.picture.sampler, page.picture.steps, page.picture.guidance]
        return [*own, *control, *picture, *page.control.more.fitted, *header.own.answers]

    def choose(self, model: str, *chosen: str) -> Iterator[Updates]:
        """Loads a model that is here; of another it is said what would have to be fetched; one's own has a form."""
        own = self._header.own
        if model == OWN_MODEL:
            yield self._standing() | self._told("") | {own.panel: gr.update(visible=self._loader.choice)}
            return
        yield {own.panel: gr.update(visible=False)}
        if (preset := known_models().get(model)) is None:
            yield self._unknown(model)
            return
        if (not preset.local and hub.missing_of(preset)) or not _controls_here(preset):
            yield self._offered(preset)
            return
        yield {self._header.masthead: figures.masthead("loading", f"Loading {preset.title}"), **self._told("")}
        try:
            studio = self._loader.change(model, known_models()[model])
        except Exception as error:
            yield self._told(in_one_sentence(error), "error") | self._standing()
            return
        yield self._fit(studio, *chosen)

    def fetch(self, page: gr.Request, model: str, *chosen: str) -> Iterator[Updates]:
        """Fetches the chosen model with its first control, tells how far it is, and loads it."""
        from hgc.models.fetching import sources_of

        if (preset := known_models().get(model)) is None:
            yield self._unknown(model)
            return
        first = [name for name in preset.controls if name == "edges"] or list(preset.controls)[:1]
        error = yield from self._fetching(page, preset.title, lambda: sources_of(model, first))
        if error is not None:
            yield self._told(in_one_sentence(error), "error") | self._buttons(fetch=True)
            return
        yield {self._header.picker: gr.update(choices=model_choices())}
        yield from self.choose(model, *chosen)

    def _fetching(
        self, page: gr.Request, title: str, sources: Callable[[], Sequence[str]]
    ) -> Generator[Updates, None, Exception | None]:
        """Fetches what is not here and tells how far it is; returns why it could not."""
        header = self._header
        busy: Updates = {header.stop: gr.update(visible=True), header.own.fetch: gr.update(visible=False)}
        yield self._told(f"Asking for {title}.") | busy

        def told(at: FetchProgress) -> Updates:
            return self._told(_progress(title, at)) | busy

        return (yield from self._transfers.run(page.session_hash or "", sources, told))

    def look_at_own(self, page: gr.Request, *values: Any) -> Updates:
        """The form's model: what it is, its memory, and whether it can be opened or has to be fetched."""
        own, asked = self._header.own, Asked.of(values)
        blank: Updates = {own.told: "", own.open: gr.update(visible=False), own.fetch: gr.update(visible=False)}
        try:
            check_permitted(asked, at_this_machine(page))
            if asked.missing:
                return blank | noted(own) | self._own_offered(asked)
            preset = recognise(asked, at_this_machine(page))
            words = words_of(preset, asked.kind if asked.control else None)
        except Fault as fault:
            return blank | noted(own, fault)
        except Refused as error:
            return blank | noted(own) | {own.told: sentence(in_one_sentence(error))}
        return blank | noted(own) | {own.told: words, own.open: gr.update(visible=True)}

    def _own_offered(self, asked: Asked) -> Updates:
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

    def fetch_own(self, page: gr.Request, *values: Any) -> Iterator[Updates]:
        """Fetches what of the form's model is not here, then looks at it."""
        own, asked = self._header.own, Asked.of(values)
        try:
            check_permitted(asked, at_this_machine(page))
        except Fault as fault:
            yield noted(own, fault)
            return
        error = yield from self._fetching(page, " and ".join(asked.missing), lambda: asked.missing)
        if error is not None:
            yield self._told(in_one_sentence(error), "error") | {own.fetch: gr.update(visible=True)}
            return
        yield (
            self._told("") | self.look_at_own(page, *values) | {self._header.picker: gr.update(choices=model_choices())}
        )

    def open_own(self, page: gr.Request, *values: Any) -> Iterator[Updates]:
        """Remembers the form's model and loads it; where that fails, all is as before."""
        own, fields = self._header.own, len(self._header.own.fields)
        asked, chosen = Asked.of(values[:fields]), values[fields:]
        try:
            preset = recognise(asked, at_this_machine(page))
            before = known_models().get(preset.name)
            remember(preset)
        except Fault as fault:
            yield noted(own, fault)
            return
        except Refused as error:
            yield {own.told: sentence(in_one_sentence(error))}
            return
        yield from self.choose(preset.name, *chosen)
        if self._loader.studio().loaded.preset != preset:
            forget(preset.name) if before is None else remember(before)
            yield {own.panel: gr.update(visible=True), self._header.picker: gr.update(choices=model_choices())}

    def stop(self, page: gr.Request) -> None:
        """Leaves the visitor's transfer; what is here stays for the next time."""
        self._transfers.stop(page.session_hash or "")

    def arrive(self, *chosen: str) -> Updates:
        """When a page opens: what is here now, and the form as the loaded model wants it."""
        choices: Updates = {self._header.picker: gr.update(choices=model_choices())}
        try:
            studio = self._loader.studio()
        except Refused:
            return choices
        loras, picture = self._page.control.more.loras, self._page.picture
        offered = loras.offer(studio)
        if not self._loader.changed:
            return choices | offered
        fit = self._fit(studio, *chosen)
        kept = (picture.sampler, picture.steps, picture.guidance, *loras.fitted)
        return {part: update for part, update in fit.items() if part not in kept} | offered | self._told("")

    def _fit(self, studio: Studio, *chosen: str) -> Updates:
        """The form for a model, with its preset's settings, and what of the form no longer applies.

        What is chosen of source, annotator and sampler stays among the choices: events under way still hold it.
        """
        source, annotator, which, painting, sampler, *loras = chosen
        page, preset, panel = self._page, studio.loaded.preset, self._page.control
        titles = [] if studio.world.examples else control_titles(tuple(preset.controls), studio.controls)
        kept = which if which in [name for _, name in titles] else AUTO
        sources = sources_of(studio.controls, kept)
        ways = ways_of(studio.controls, kept)
        way = annotator if annotator in [name for _, name in ways] else ways[0][1]
        sheet, bare = self._taken_over(painting, studio)
        notes = [preset.note] if preset.note else []
        if source not in sources:
            lines = "draw lines, or " if "lines" in sources else ""
            notes.append(NOT_PAINTED.format(lines) if source == "paint" else NO_LINES)
        if source == "paint" and bare:
            notes.append(NO_CLASS.format(", ".join(map(class_title, bare))))
        loras_offered, gone = panel.more.loras.fit(studio, loras)
        notes += [NO_LORA.format(name) for name in gone]
        titled = [(SAMPLER_TITLES.get(name, name), name) for name in studio.samplers]
        return {
            self._header.masthead: figures.masthead("ready", figures.ready_words(studio)),
            self._header.picker: gr.update(choices=model_choices(), value=studio.model),
            panel.source: source if source in sources else sources[0],
            panel.offered: offering(sources),
            panel.annotator: gr.update(choices=_with(ways, annotator), value=way),
            panel.which: gr.update(choices=[(AS_DRAWN, AUTO), *titles], value=kept, visible=bool(titles)),
            panel.painting: gr.update(sets=palettes(studio.world.sets), **sheet),
            panel.examples_panel: gr.update(visible=studio.world.examples),
            page.picture.sampler: gr.update(choices=_with(titled, sampler), value=preset.sampler),
            page.picture.steps: preset.steps,
            page.picture.guidance: preset.guidance,
            **panel.more.fit(studio),
            **loras_offered,
        } | self._told(" ".join(notes))

    def _taken_over(self, painting: str | None, studio: Studio) -> tuple[dict[str, str], tuple[str, ...]]:
        """The painted areas in the model's own colours, nothing where they are; and the classes that it has not."""
        try:
            sheet = from_url(painting)
        except ImageRefused:
            return {}, ()
        repainted, bare = taken_over(sheet, SETS, studio.world.sets)
        return {} if repainted is sheet else {"value": png_url(repainted)}, bare

    def _unknown(self, model: str) -> Updates:
        return self._told(f"There is no model '{model[:80]}' any more.", "error") | self._standing()

    def _standing(self) -> Updates:
        """The model that is loaded still."""
        studio = self._loader.studio()
        ready = figures.masthead("ready", figures.ready_words(studio))
        return {self._header.masthead: ready, self._header.picker: gr.update(value=studio.model)}

    def _offered(self, preset: ModelPreset) -> Updates:
        licence = f", licence {preset.licence}" if preset.licence else ""
        size = f"about {(preset.size_bytes + preset.control_bytes) / 1e9:.1f} GB with one ControlNet"
        words = f"{preset.title} is not on this machine: {size}{licence}. Nothing is fetched before you say so."
        return self._told(words) | self._buttons(fetch=True)

    def _told(self, words: str, kind: str = "") -> Updates:
        """Words under the header; without any its card goes."""
        told = figures.notes_list([words], kind) if kind else f'<p class="lead">{escape(words)}</p>'
        return {self._header.told: told, self._header.card: gr.update(visible=bool(words))} | self._buttons()

    def _buttons(self, fetch: bool = False) -> Updates:
        return {self._header.fetch: gr.update(visible=fetch), self._header.stop: gr.update(visible=False)}


def _with(choices: list[tuple[str, str]], chosen: str) -> list[tuple[str, str]]:
    known = chosen in [name for _, name in choices]
    return choices if known else [*choices, (f"{SAMPLER_TITLES.get(chosen, chosen)} (not for this model)", chosen)]


def _controls_here(preset: ModelPreset) -> bool:
    return preset.local or any(hub.is_here(source) for source in preset.controls.values())


def _progress(title: str, at: FetchProgress) -> str:
    left = "" if at.eta_s is None else f", {at.eta_s:.0f} s left"
    done = f"{at.done_bytes / 1e6:,.0f} of {at.size_bytes / 1e6:,.0f} MB, {at.bytes_per_s / 1e6:.1f} MB/s{left}"
    return f"Fetching {title}: {done}."


def wire_models(p: Playground, header: Header, greeted: Any) -> None:
    """Choosing and fetching, then the forecast and the map as the new model has them."""
    events, caches = ModelEvents(p, header), CacheEvents(p)
    panel, sampler = p.control, p.picture.sampler
    form = [*panel.map, panel.painting, sampler, *panel.more.loras.names]
    given = [header.picker, *form]
    shown = events.shown
    arrived = greeted.then(events.arrive, form, shown, **QUIET)
    own, alone = header.own, {"concurrency_limit": 1, "concurrency_id": "models", **QUIET}
    opened = own.open.click(events.open_own, [*own.fields, *form], shown, **alone)
    gr.on([own.look.click, own.what.submit], events.look_at_own, own.fields, own.answers, **QUIET)
    own.fetch.click(events.fetch_own, own.fields, shown, **alone)
    own.close.click(lambda: gr.update(visible=False), None, own.panel, **QUIET)
    changed = (
        opened,
        chosen(header.picker)(events.choose, given, shown, **alone),
        header.fetch.click(events.fetch, given, shown, **alone),
    )
    for begun in changed:
        settle_after(begun.then, caches.follow, p, asked_of(p))
    seen = [panel.seen, panel.notes, panel.annotator]
    for begun in (arrived, *changed):
        begun.then(ControlEvents(p).look, panel.drawing, seen, **LOOK_QUEUE, **QUIET)
    header.stop.click(events.stop, None, None, queue=False, **QUIET)
