"""A picture brought back: its settings on the form, and whether a run has made it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.evidence import EvidenceRefused, read_signed
from hgc.history import Record
from hgc.models.absent import absent, title_of
from hgc.planning.methods import method_of
from hgc.request import Request
from hgc.results.again import Original, compared
from hgc.results.records import comparison_of
from hgc.ui.playground.form import field_values, form_outputs, write_form
from hgc.ui.playground.lora_panel import loras_here
from hgc.ui.playground.restored_card import refused_text, restored_text, verdict_text
from hgc.ui.playground.session import wire_brought_back
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence

if TYPE_CHECKING:
    from hgc.studio.studio import Studio
    from hgc.ui.playground.tab import Playground


Updates = dict[Any, Any]
CLOSE_JS = "() => [{__type__: 'update', visible: false}, null]"


def _holds(part: Any, value: Any) -> bool:
    """Whether a component can show a value."""
    return not isinstance(part, gr.Slider) or part.minimum <= value <= part.maximum


def beyond(page: Playground, request: Request) -> list[str]:
    """Settings that the form or the loaded model does not have, in words."""
    values, studio = field_values(page, request), page.runner.loader.studio()
    sentences = [
        f"{part.label} {values[name]:g} lies beyond the form's {part.minimum:g} to {part.maximum:g}; "
        "Run again uses it all the same"
        for name, part in page.fields.items()
        if not _holds(part, values[name])
    ]
    missing = absent(request.model, request.controls, [lora.name for lora in request.loras])
    if request.model != studio.model:
        made, loaded = title_of(request.model), title_of(studio.model)
        remedy = "" if missing else "; choose that model in the list above and bring the picture back once more"
        sentences.append(f"Made with {made}, and loaded is {loaded}: what both have is on the form{remedy}.")
    elif request.sampler not in studio.samplers:
        sentences.append(f"{title_of(studio.model)} has no sampler '{request.sampler}': the form keeps its own.")
    return [*sentences, missing] if missing else sentences


def restored_form(page: Playground, request: Request, with_map: bool = True) -> Updates:
    """The updates that put a request on the form, but for what it has no place for and for what is not here.

    Raises Refused.
    """
    for name in (request.method, request.rival or request.method):
        method_of(name)
    studio = page.runner.loader.studio()
    written = write_form(page, here(request, studio), None, None if with_map else request.control_bytes)
    left_out = {part for part in page.fields.values() if not _holds(part, written[part])}
    if request.sampler not in studio.samplers:
        left_out.add(page.fields["sampler"])
    return {part: value for part, value in written.items() if part not in left_out}


def here(request: Request, studio: Studio) -> Request:
    """The request with what the loaded model has of a second control and LoRAs."""
    kept = [lora for lora in request.loras if lora.name in loras_here(studio)]
    second = request.second if request.second is None or request.second.control in studio.controls else None
    return request.but(loras=[lora.model_dump() for lora in kept], second=second and second.model_dump())


class Restoring:
    """The events that bring a picture's settings back."""

    def __init__(self, playground: Playground, tabs: gr.Tabs) -> None:
        self.page, self._card, self._tabs = playground, playground.restored, tabs
        self._runner = playground.runner
        self.run_id = playground.results.run_id

    @property
    def outputs(self) -> list[Any]:
        return [*form_outputs(self.page), *self._card.filled, self._tabs]

    def read(self, path: str | None) -> Updates:
        """A PNG that was dropped or chosen: its settings on the form, or one sentence."""

        try:
            if path is None:
                raise EvidenceRefused("There is no picture: drop one that was downloaded here.")
            signed = read_signed(Path(path).read_bytes())
            text = restored_text(signed, beyond(self.page, signed.evidence.request))
            return self.restored(Original.of_picture(signed), text)
        except Exception as error:
            return self._told(refused_text(in_one_sentence(error)))

    def restored(self, original: Any, text: str) -> Updates:
        """The updates that put an original on the form and its words on the card."""
        name, card = self._runner.originals.keep(original), self._card
        return restored_form(self.page, original.request) | {
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

        original, second = self._runner.originals.find(name), self._runner.runs.find(run)
        if original is None or second is None or second.recorded:
            return ""
        return verdict_text(compared(original, second))


def wire_restoring(restoring: Restoring, p: Playground) -> None:
    """Choosing or dropping a picture; every finished run is held against it."""
    card = p.restored
    read = card.upload.upload(restoring.read, card.upload, restoring.outputs, **QUIET)
    wire_brought_back(p, read)
    card.close.click(None, None, [card.card, card.original], js=CLOSE_JS, api_visibility="private")
    p.results.run_id.change(restoring.check, [p.results.run_id, card.original], card.verdict, **QUIET)


def wire_recording(p: Playground, recording: Record | None) -> None:
    """Opens the recording that stands there at first, with everything that a run has."""
    runner = p.runner

    def look_closer() -> Any:
        """The recorded run as if it had just been made, and marked as recorded."""

        return gr.skip() if recording is None else runner.runs.keep(comparison_of(recording))

    opened = gr.Button("Look closer", visible="hidden", elem_id="open-recording")
    opened.click(look_closer, None, p.results.run_id, **QUIET)
