"""A picture brought back: its settings on the form, and whether a run has made it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.control.images import decode
from hgc.evidence import EvidenceRefused, read_signed
from hgc.history import Record
from hgc.request import Request
from hgc.ui.cache_events import CacheEvents, cost_inputs
from hgc.ui.cache_panel import write_settings
from hgc.ui.control_events import on_canvas
from hgc.ui.drawing import Drawn, seen_text
from hgc.ui.queueing import QUIET
from hgc.ui.restored_card import refused_text, restored_text, verdict_text
from hgc.ui.runner import in_one_sentence
from hgc.ui.titles import NO_RIVAL

if TYPE_CHECKING:
    from hgc.ui.playground import Playground

Updates = dict[Any, Any]
CLOSE_JS = "() => [{__type__: 'update', visible: false}, null]"


@dataclass(frozen=True)
class Form:
    """Everything on the Playground that a request sets."""

    playground: Playground

    @property
    def outputs(self) -> list[Any]:
        p = self.playground
        canvases = [p.control.source, p.control.painting, p.control.lines, p.control.seen, p.control.notes]
        settings = [p.cache.preset, p.cache.reason, *p.cache.settings, p.own.name]
        return [*canvases, *p.fields.values(), p.picture.lock, *settings]

    def filled(self, request: Request, with_map: bool = True) -> Updates:
        """The updates that put a request on the form. Raises ImageRefused for a map that cannot be read."""
        p, own = self.playground, request.own_plan
        values = request.model_dump() | {"rival": request.rival or NO_RIVAL}
        fields = {part: values[name] for name, part in p.fields.items() if _holds(part, values[name])}
        settings = dict(zip(p.cache.settings, write_settings(request.cache), strict=True))
        shown = {p.picture.lock: True, p.cache.preset: None, p.cache.reason: ""}
        plan = {p.own.name: "" if own is None else p.runner.plans.keep(own)}
        return fields | settings | shown | plan | (self._map(request) if with_map else {})

    def beyond(self, request: Request) -> list[str]:
        """What the form has no place for, in words."""
        told = [
            f"{part.label} {getattr(request, name):g} lies beyond the form's {part.minimum:g} to {part.maximum:g}; "
            "Run again uses it all the same"
            for name, part in self.playground.fields.items()
            if not _holds(part, getattr(request, name))
        ]
        if request.plan is None and request.budget is not None:
            told.append(f"method {request.method} within {request.budget:.0%} of full compute; Run again uses it")
        return told

    def _map(self, request: Request) -> Updates:
        panel, pixels = self.playground.control, decode(request.control_bytes).pixels
        source, painting, lines = on_canvas(pixels, request.control)
        return {
            panel.source: source,
            panel.painting: painting,
            panel.lines: lines,
            panel.seen: pixels,
            panel.notes: seen_text((), Drawn(pixels, request.control)),
        }


def _holds(part: Any, value: Any) -> bool:
    """Whether a component can show a value."""
    return not isinstance(part, gr.Slider) or part.minimum <= value <= part.maximum


class Restoring:
    """What brings a picture back, and what happens then."""

    def __init__(self, playground: Playground, tabs: gr.Tabs) -> None:
        self._card, self._tabs = playground.restored, tabs
        self._runner, self.form = playground.runner, Form(playground)
        self.run_id = playground.results.run_id

    @property
    def outputs(self) -> list[Any]:
        return [*self.form.outputs, *self._card.filled, self._tabs]

    def read(self, path: str | None) -> Updates:
        """A PNG that was dropped or chosen: its settings on the form, or one sentence."""
        from hgc.service.originals import Original

        try:
            if path is None:
                raise EvidenceRefused("There is no picture: drop one that was downloaded here.")
            signed = read_signed(Path(path).read_bytes())
            text = restored_text(signed, self.form.beyond(signed.evidence.request))
            return self.restored(Original.of_picture(signed), text)
        except Exception as error:
            return self._told(refused_text(in_one_sentence(error)))

    def restored(self, original: Any, text: str) -> Updates:
        """The updates that put an original on the form and its words on the card."""
        name, card = self._runner.originals.keep(original), self._card
        return self.form.filled(original.request) | {
            card.card: gr.update(visible=True),
            card.words: text,
            card.verdict: "",
            card.again: gr.update(visible=True),
            card.original: name,
            self._tabs: gr.update(selected="playground"),
        }

    def _told(self, text: str) -> Updates:
        card = self._card
        return {
            card.card: gr.update(visible=True),
            card.words: text,
            card.verdict: "",
            card.again: gr.update(visible=False),
            card.original: None,
            self._tabs: gr.update(selected="playground"),
        }

    def check(self, run: str | None, name: str | None) -> Any:
        """Whether the run that has just finished is the original again."""
        from hgc.service.originals import compared

        original, found = self._runner.originals.find(name), self._runner.runs.find(run)
        if original is None or found is None or found.recorded:
            return ""
        return verdict_text(compared(original, found))


def wire_restoring(restoring: Restoring, p: Playground) -> None:
    """Choosing or dropping a picture; every finished run is held against it."""
    card = p.restored
    read = card.upload.upload(restoring.read, card.upload, restoring.outputs, **QUIET)
    read.then(CacheEvents(p).price, cost_inputs(p), p.forecast, **QUIET)
    card.close.click(None, None, [card.card, card.original], js=CLOSE_JS, api_visibility="private")
    p.results.run_id.change(restoring.check, [p.results.run_id, card.original], card.verdict, **QUIET)


def wire_recording(p: Playground, recording: Record | None) -> None:
    """Opens the recording that stands there at first, with everything that a run has."""
    runner = p.runner

    def look_closer() -> Any:
        """The recorded run as if it had just been made, and marked as recorded."""
        from hgc.service.records import comparison_of

        return gr.skip() if recording is None else runner.runs.keep(comparison_of(recording))

    opened = gr.Button("Look closer", visible="hidden", elem_id="open-recording")
    opened.click(look_closer, None, p.results.run_id, **QUIET)
