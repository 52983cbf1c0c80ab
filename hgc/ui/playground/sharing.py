"""The form as a link, and a link as the form."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.share import NAME, link_of, read_link
from hgc.ui.playground.drawing import ControlMap, drawn, fitted, prepare
from hgc.ui.playground.form import read_form
from hgc.ui.playground.restored_card import linked_text, refused_text
from hgc.ui.playground.restoring import beyond, restored_form
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import notes_list

if TYPE_CHECKING:
    from hgc.ui.playground.restoring import Restoring
    from hgc.ui.playground.tab import Playground

WITHOUT_MAP = "The map is too large for a link and is left out; a downloaded picture contains it."
MAP_LEFT_BEHIND = "The link came without its map: draw one, or ask for a downloaded picture, which contains it."


class Sharing:
    """The events of the Copy link button and of an opened link."""

    def __init__(self, playground: Playground) -> None:
        self._page, self._card = playground, playground.restored

    def link(self, *values: Any) -> str:
        """The query of a link for what stands on the form; the page makes an address of it and copies that."""
        drawing = self._page.control.drawing
        try:
            studio = self._page.runner.loader.studio()
            given = fitted(drawn(*values[: len(drawing)]), studio)
            prepared, _ = prepare(studio, given)
            request = read_form(self._page, ControlMap(prepared.png, given.control), list(values[len(drawing) :]))
            link = link_of(request)
        except Exception as error:
            return notes_list([in_one_sentence(error)], "error")
        note = "" if link.has_map else f" {WITHOUT_MAP}"
        return f'<p class="aside" role="status" data-query="{escape(link.query, quote=True)}" data-note="{note}"></p>'

    def open(self, page: gr.Request) -> dict[Any, Any]:
        """When the page was opened by a link: its settings on the form."""
        packed, card = dict(page.query_params).get(NAME), self._card
        if not packed:
            return {card.words: gr.skip()}
        try:
            shared = read_link(packed)
            filled = restored_form(self._page, shared.request, shared.has_map)
        except Exception as error:
            return {card.card: gr.update(visible=True), card.words: refused_text(in_one_sentence(error))}
        lost = [] if shared.has_map else [MAP_LEFT_BEHIND]
        notes = [*lost, *beyond(self._page, shared.request)]
        updates = {card.card: gr.update(visible=True), card.words: linked_text(notes)} if notes else {}
        return filled | {card.again: gr.update(visible=False)} | updates


def wire_sharing(page: gr.Blocks, p: Playground, restoring: Restoring) -> None:
    """Copies a link of the form, and restores the form from the link that opened the page."""
    sharing, card = Sharing(p), p.restored
    copied = card.link.click(sharing.link, [*p.control.drawing, *p.run_inputs], card.linked, **QUIET)
    copied.then(None, None, None, js="() => hgc.share()", api_visibility="private")
    page.load(sharing.open, None, restoring.outputs, queue=False, **QUIET)
