"""The events of drawing: the map as the model sees it, examples taken up, words read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.landscapes import examples
from hgc.ui.pictures import png_url
from hgc.ui.playground import figures
from hgc.ui.playground.drawing import drawn, prepare, seen_picture, seen_text, sheet_of
from hgc.ui.queueing import LOOK_QUEUE, QUIET
from hgc.ui.runner import in_one_sentence

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.ui.playground.drawing import Control
    from hgc.ui.playground.tab import Playground

NO_PHOTO = '<h3>As the model sees it</h3><p class="aside">Drop a photo to see its map here.</p>'
NO_LINES = '<h3>As the model sees it</h3><p class="aside">Draw some lines to see their map here.</p>'


class ControlEvents:
    """The answers to the panel's inputs."""

    def __init__(self, playground: Playground) -> None:
        self._loader = playground.runner.loader

    def look(self, *drawing: Any) -> tuple[str, str]:
        """The control map as the model will see it."""
        control_map, told = self._map(*drawing)
        return seen_picture(control_map), told

    def _map(self, *drawing: Any) -> tuple[Pixels | None, str]:
        """The control map, None where there is none, and what is to be said about it."""
        if drawing[0] == "photo" and drawing[3] is None:
            return None, NO_PHOTO
        if drawing[0] == "lines" and not drawing[2]:
            return None, NO_LINES
        try:
            given = drawn(*drawing)
            prepared, notes = prepare(self._loader.studio(), given)
        except Exception as error:
            return None, figures.notes_list([in_one_sentence(error)], "error")
        return prepared.map, seen_text(notes, given)

    def receive(self, *drawing: Any) -> tuple[Any, ...]:
        """A photo just dropped; one that cannot be read is not left standing there as a broken picture."""
        control_map, told = self._map("photo", *drawing[1:])
        # The path as it is, no gr.skip(): that would make gradio build the input anew, without our way of reading it.
        return drawing[3] if control_map is not None else None, seen_picture(control_map), told

    def take(self, event: gr.SelectData) -> tuple[Any, ...]:
        """Puts an example on the canvas of its kind, with its words and seed."""
        example = examples.gallery()[event.index]
        return *_on_canvas(example.pixels, example.control), example.prompt, example.seed

    def edit(self, *drawing: Any) -> tuple[Any, ...]:
        """Puts the map of the photo on the canvas of its kind; without a map, nothing happens but what is said."""
        control_map, told = self._map(*drawing)
        if control_map is None:
            return gr.skip(), gr.skip(), gr.skip(), told
        return *_on_canvas(control_map, drawn(*drawing).control), told

    def read(self, prompt: str) -> Any:
        """The words of a prompt that the model will not understand."""
        notes = self._loader.studio().check_prompt(prompt) if self._loader.ready else ()
        return gr.update(value=figures.notes_list(notes), visible=bool(notes))


def _on_canvas(picture: Pixels, control: Control) -> tuple[Any, Any, Any]:
    """Values of the choice of source and of both canvases; the other canvas keeps what it has."""
    sheet = png_url(sheet_of(picture, control))
    return ("paint", sheet, gr.skip()) if control == "segmentation" else ("lines", gr.skip(), sheet)


def wire_control(p: Playground) -> None:
    """Every change of the drawing is looked at; the answer to the last one stays."""
    events, panel = ControlEvents(p), p.control
    seen = [panel.seen, panel.notes]
    drawn_on = [panel.source.input, panel.painting.input, panel.lines.input, panel.photo.clear, panel.annotator.input]
    gr.on(drawn_on, events.look, panel.drawing, seen, trigger_mode="always_last", **LOOK_QUEUE, **QUIET)
    panel.photo.upload(events.receive, panel.drawing, [panel.photo, *seen], **LOOK_QUEUE, **QUIET)
    canvases = [panel.source, panel.painting, panel.lines]
    edited = panel.edit.click(events.edit, panel.drawing, [*canvases, panel.notes], **LOOK_QUEUE, **QUIET)
    edited.success(events.look, panel.drawing, seen, **QUIET)
    filled = [*canvases, p.words.prompt, p.picture.seed]
    taken = panel.gallery.select(events.take, None, filled, queue=False, **QUIET)
    taken.then(events.look, panel.drawing, seen, **QUIET)
    prompt = p.words.prompt
    prompt.change(events.read, prompt, p.words.notes, trigger_mode="always_last", queue=False, **QUIET)
