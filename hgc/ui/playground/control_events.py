"""The events of drawing: the map as the model sees it, a photo's map edited, a photo traced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.control.annotators import ANNOTATORS, LINES
from hgc.control.fitting import fit, on_sheet
from hgc.control.images import WHITE, ImageRefused
from hgc.control.pictures import INPAINT
from hgc.control.reading import Reading
from hgc.models.presets import CONTROLS
from hgc.refused import Refused
from hgc.ui.components.easel import CANVAS_PX
from hgc.ui.components.inputs import chosen
from hgc.ui.pictures import png_url
from hgc.ui.playground.drawing import (
    AS_LINES,
    AUTO,
    NothingYet,
    drawn,
    fitted,
    offering,
    prepare,
    read_photo,
    sheet_of,
    sources_of,
)
from hgc.ui.playground.looks import NUMBERED_JS
from hgc.ui.playground.map_seen import NO_LINES, NO_PHOTO, READING, READING_SLOWLY, seen_picture, seen_text, under_sheet
from hgc.ui.playground.reading_ways import ways_of
from hgc.ui.queueing import LOOK_QUEUE, QUIET, answer_last
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import aside, notes_list

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.ui.playground.tab import Playground

DRAWN = ("segmentation", *LINES)
NOT_DRAWN = "Maps of this kind ({}) cannot be painted here: the map is used as it was read from the photo."

NOT_BACK = "A {} map does not say what stands there, so it cannot be painted on: paint areas, or use the map as it is."


class ControlEvents:
    """The answers to the panel's inputs."""

    def __init__(self, playground: Playground) -> None:
        self._loader, self._looks = playground.runner.loader, playground.looks
        self._control = playground.control

    def look(self, page: gr.Request, number: int, *drawing: Any) -> tuple[Any, ...]:
        """The control map as the model will see it, and the ways to read a photo; nothing where a newer look stands."""
        control_map, sentence, stands = self._latest(page, number, drawing)
        if not stands:
            return gr.skip(), gr.skip(), gr.skip()
        fetched = _slow(drawing) and control_map is not None
        return (
            seen_picture(control_map),
            sentence,
            gr.update(choices=ways_of(self._loader.studio().controls, drawing[6])) if fetched else gr.skip(),
        )

    def _latest(self, page: gr.Request, number: int, drawing: Sequence[Any]) -> tuple[Pixels | None, str, bool]:
        """`_map` of a drawing, and whether it is the visitor's latest still."""
        visitor = page.session_hash or ""
        self._looks.begin(visitor, number)
        if _slow(drawing):
            reading = self._looks.wait(lambda: self._map(*drawing), visitor, number)
        else:
            reading = self._map(*drawing)
        return *(reading or (None, "")), reading is not None and self._looks.stands(visitor, number)

    def look_begun(self, page: gr.Request, number: int, *drawing: Any) -> tuple[Any, ...]:
        """The same after a change of the picture to begin from, which inpainting alone reads."""
        return self.look(page, number, *drawing) if drawing[6] == INPAINT else (gr.skip(),) * 3

    def _map(self, *drawing: Any) -> tuple[Pixels | None, str]:
        """The control map, None where there is none, and what is to be said about it."""
        source = None if drawing[6] == INPAINT else drawing[0]
        if source == "photo" and drawing[3] is None:
            return None, NO_PHOTO
        if source == "lines" and not drawing[2]:
            return None, NO_LINES
        try:
            given, studio = drawn(*drawing), self._loader.studio()
            given = fitted(given, studio)
            prepared, notes = prepare(studio, given)
        except NothingYet as lack:
            return None, f"<h3>As the model sees it</h3>{aside(str(lack))}"
        except Exception as error:
            return None, notes_list([in_one_sentence(error)], "error")
        return prepared.map, seen_text(notes, given)

    def receive(self, page: gr.Request, number: int, *drawing: Any) -> tuple[Any, ...]:
        """A photo just dropped; one that cannot be read is not left standing there as a broken picture."""
        control_map, sentence, stands = self._latest(page, number, ("photo", *drawing[1:]))
        # The path as it is, no gr.skip(): that would make gradio build the input anew, without our way of reading it.
        if not stands:
            return drawing[3], gr.skip(), gr.skip()
        return drawing[3] if self._readable(drawing[3]) else None, seen_picture(control_map), sentence

    def choose(self, which: str, source: str, annotator: str) -> dict[Any, Any]:
        """A source and a way to read a photo that fit the control that was chosen, and the sources that do.

        What inpainting reads is opened instead.
        """
        studio, panel = self._loader.studio(), self._control
        controls, sources = studio.controls, sources_of(studio.controls, which, studio.world.painted)
        offered: dict[Any, Any] = {panel.offered: offering(sources)}
        if which == INPAINT:
            return offered | panel.more.begins()
        ways = ways_of(controls, which)
        names = [name for _, name in ways]
        way = annotator if annotator in names else names[0]
        if source not in sources:
            offered[panel.source] = sources[0]
        return offered | {panel.annotator: gr.update(choices=ways, value=way)}

    def _readable(self, path: str | None) -> bool:
        try:
            read_photo(path, AS_LINES)
        except ImageRefused:
            return False
        return True

    def edit(self, page: gr.Request, number: int, *drawing: Any) -> tuple[Any, ...]:
        """Puts the map of the photo on the canvas of its kind, and looks at it; else only says why it does not."""
        visitor = page.session_hash or ""
        self._looks.begin(visitor, number)
        control_map, sentence = self._map(*drawing)
        if not self._looks.stands(visitor, number):
            return (gr.skip(),) * 6
        if control_map is None:
            return _kept(sentence)
        studio = self._loader.studio()
        control = fitted(drawn(*drawing), studio).control
        if control not in DRAWN:
            words = NOT_BACK if control in studio.world.painted else NOT_DRAWN
            return _kept(notes_list([words.format(CONTROLS[control].lower())], "error"))
        canvases = on_canvas(control_map, control)
        return *canvases, *self._look_at(page, number, canvases, drawing)

    def _look_at(
        self, page: gr.Request, number: int, canvases: Sequence[Any], drawing: Sequence[Any]
    ) -> tuple[Any, ...]:
        """A look at the drawing as it is with these on its canvases."""
        begun = [had if new == gr.skip() else new for new, had in zip(canvases, drawing, strict=False)]
        return self.look(page, number, *begun, *drawing[len(canvases) :])

    def trace(self, page: gr.Request, number: int, *drawing: Any) -> tuple[Any, ...]:
        """A bare sheet over the photo as it is framed, on the canvas of the kind that its annotator makes."""
        which = drawing[6]
        self._looks.begin(page.session_hash or "", number)
        try:
            given, areas = drawn(*drawing), self._loader.studio().world.painted
        except Refused as error:
            return *_kept(notes_list([in_one_sentence(error)], "error")), gr.skip(), gr.skip()
        if which not in (AUTO, *DRAWN, *areas):
            refusal = NOT_DRAWN.format(CONTROLS[which].lower())
            return *_kept(notes_list([refusal], "error")), gr.skip(), gr.skip()
        reading, side = given.reading or Reading(), (CANVAS_PX, CANVAS_PX)
        photo = on_sheet(fit(given.picture, side, "photo", reading.framing, reading.position), side, WHITE)
        painted = which in areas or given.control == "segmentation"
        canvases = ("paint", "", gr.skip()) if painted else ("lines", gr.skip(), "")
        looked = self._look_at(page, number, canvases, drawing)
        return *canvases, *looked, under_sheet(photo), gr.update(visible=True)


def _kept(sentence: str) -> tuple[Any, ...]:
    """The drawing as it is, and what is to be said: source, canvases, the map as seen, the notes, the annotator."""
    return *(gr.skip(),) * 4, sentence, gr.skip()


def on_canvas(picture: Pixels, control: str) -> tuple[Any, Any, Any]:
    """Values of the choice of source and of both canvases; the other canvas keeps what it has."""
    sheet = png_url(sheet_of(picture, control))
    return ("paint", sheet, gr.skip()) if control == "segmentation" else ("lines", gr.skip(), sheet)


def _slow(drawing: Sequence[Any]) -> bool:
    """Whether a photo's annotator runs a network, whose weights may have to be fetched first."""
    photo = drawing[0] == "photo" and drawing[6] != INPAINT
    return photo and drawing[4] in ANNOTATORS and ANNOTATORS[drawing[4]].needs_weights


# Said at once in the browser: what stands there of the choice before goes. A place of the map's own size stays.
BUSY_JS = f"""(source, photo, chosen) => {{
  if (source !== 'photo' || !photo) return [{{__type__: 'update'}}, {{__type__: 'update'}}];
  const slow = {json.dumps([known.name for known in ANNOTATORS.values() if known.needs_weights])}.includes(chosen);
  return [{json.dumps(seen_picture(None))}, slow ? {json.dumps(READING_SLOWLY)} : {json.dumps(READING)}];
}}"""


LIFT_JS = "() => ['', {__type__: 'update', visible: false}]"


def look_after(event: Any, p: Playground) -> None:
    """Looks at the drawing when an event of the page has been answered."""
    seen = [p.control.seen, p.control.notes, p.control.annotator]
    event.then(ControlEvents(p).look, p.control.looked, seen, js=NUMBERED_JS, **LOOK_QUEUE, **QUIET)


def wire_control(p: Playground) -> None:
    """Every change of the drawing is looked at; the answer to the last one stays."""
    events, panel = ControlEvents(p), p.control
    seen = [panel.seen, panel.notes]
    filled = [*seen, panel.annotator]
    asked = {**LOOK_QUEUE, "js": NUMBERED_JS}
    sizes = [panel.more.size.change, *(part.input for part in panel.reading.settings)]
    strokes = [panel.painting.input, panel.lines.input, *sizes]
    answer_last(strokes, events.look, panel.looked, filled, **asked)
    begun = [part.change for part in panel.more.source.read]
    answer_last(begun, events.look_begun, panel.looked, filled, **asked)
    readings = [chosen(panel.reading.annotator), panel.reading.framing.input]
    choices = [panel.source.input, panel.photo.clear, *readings]
    busy: dict[str, Any] = {"js": BUSY_JS, "api_visibility": "private", "queue": False, "show_progress": "hidden"}
    shown = [panel.source, panel.photo, panel.annotator]
    gr.on([*readings, panel.photo.upload], None, shown, seen, **busy)
    gr.on(choices, events.look, panel.looked, filled, trigger_mode="multiple", **asked, **QUIET)
    panel.photo.upload(events.receive, panel.looked, [panel.photo, *seen], **asked, **QUIET)
    fitting = [panel.which, panel.source, panel.annotator]
    fitted_to = [*fitting[1:], panel.offered, *panel.more.begun]
    picked = chosen(panel.which)(events.choose, fitting, fitted_to, **QUIET)
    look_after(picked, p)
    written = [panel.source, panel.painting, panel.lines, *filled]
    panel.edit.click(events.edit, panel.looked, written, **asked, **QUIET)
    panel.trace.click(events.trace, panel.looked, [*written, panel.under, panel.tracing], **asked, **QUIET)
    lifted: dict[str, Any] = {"js": LIFT_JS, "api_visibility": "private"}
    gr.on([panel.lift.click, panel.gallery.select], None, None, [panel.under, panel.tracing], **lifted)
