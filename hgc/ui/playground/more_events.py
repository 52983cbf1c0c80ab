"""The events of the panel of more to draw from: the second map as the model sees it, sizes, what is painted over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.control.images import ImageRefused, decode
from hgc.control.pictures import INPAINT
from hgc.refused import Refused
from hgc.ui.components.inputs import chosen
from hgc.ui.playground.drawing import AS_MAP, NothingYet, offering, sources_of
from hgc.ui.playground.looks import NUMBERED_JS
from hgc.ui.playground.map_seen import seen_picture, under_mask
from hgc.ui.playground.reading_ways import ways_of
from hgc.ui.playground.second_map import second_map
from hgc.ui.playground.second_panel import NONE
from hgc.ui.playground.size import OWN, free, size_like, size_of, written
from hgc.ui.queueing import LOOK_QUEUE, QUIET, answer_last
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import aside, notes_list

if TYPE_CHECKING:
    from hgc.ui.playground.tab import Playground

CONTROL = 3  # the place of the second control among the inputs of `second_map`
FOLLOWED = "It is followed beside the first map."


class MoreEvents:
    """The answers to the panel's inputs."""

    def __init__(self, playground: Playground) -> None:
        self._loader, self._looks = playground.runner.loader, playground.looks
        self._panel = playground.control.more

    def choose(self, control: str, way: str, annotator: str) -> dict[Any, Any]:
        """The ways to a second control's map; drawn by hand where it reads areas or lines."""
        part, studio = self._panel.second, self._loader.studio()
        if control == INPAINT:
            return {part.offered: offering((), "second-")} | self._panel.begins()
        ways = [] if control == NONE else ways_of(studio.controls, control)
        sources = () if control == NONE else sources_of(studio.controls, control, studio.world.painted)
        known = annotator in [name for _, name in ways]
        return {
            part.way: way if way in sources else "photo",
            part.offered: offering(sources, "second-"),
            part.annotator: gr.update(choices=ways, value=annotator if known else AS_MAP),
        }

    def look(self, page: gr.Request, number: int, size: str, *drawing: Any) -> tuple[Any, Any]:
        """The second map as the model will see it, and what is to be said of it; nothing where a newer look stands."""
        visitor = f"{page.session_hash}, second map"
        self._looks.begin(visitor, number)
        seen = self._map(size, *drawing)
        return seen if self._looks.stands(visitor, number) else (gr.skip(), gr.skip())

    def _map(self, size: str, *drawing: Any) -> tuple[str, str]:
        if drawing[CONTROL] == NONE:
            return seen_picture(None), ""
        try:
            prepared = second_map(self._loader.studio(), size_of(size), *drawing)
        except NothingYet as lack:
            return seen_picture(None), aside(str(lack))
        except Exception as error:
            return seen_picture(None), notes_list([in_one_sentence(error)], "error")
        return seen_picture(prepared.map), notes_list(prepared.notes) or aside(FOLLOWED)

    def look_begun(self, page: gr.Request, number: int, size: str, *drawing: Any) -> tuple[Any, Any]:
        """The same after a change of the picture to begin from, which inpainting alone reads."""
        return self.look(page, number, size, *drawing) if drawing[CONTROL] == INPAINT else (gr.skip(), gr.skip())

    def shape(self, size: str) -> str:
        """A style that gives the canvases the size's proportions, or in one sentence why it is none."""
        try:
            asked = size_of(size)
        except Refused as error:
            return notes_list([str(error)], "error")
        ratio = "1" if asked is None else f"{asked[0]} / {asked[1]}"
        return f"<style>#control-card .sheet canvas {{ aspect-ratio: {ratio} }}</style>"

    def lay_under(self, size: str, picture: str | None) -> str:
        """The picture to begin from under its mask's sheet, as it is cut."""
        try:
            return under_mask(size_of(size) or self._loader.studio().size, picture)
        except Refused:
            return ""

    def size_of_picture(self, size: str, picture: str | None) -> Any:
        """The proportions of a picture that has come, where nobody has chosen others and the model draws them."""
        studio = self._loader.studio()
        if size != OWN or picture is None or not free(studio):
            return gr.skip()
        try:
            height, width = decode(Path(picture)).pixels.shape[:2]
        except ImageRefused:
            return gr.skip()
        like = size_like(width, height, studio.size[0])
        return gr.skip() if like == studio.size else written(like)

    def begin_from(self, size: str, picture: str | None) -> tuple[Any, Any]:
        """A picture to begin from that has just come; one that cannot be read is not left standing there."""
        try:
            decode(Path(picture or ""))
        except Refused as error:
            gr.Warning(str(error))
            return gr.skip(), None
        return self.size_of_picture(size, picture), gr.skip()


def wire_more(p: Playground) -> None:
    """Every change of the second drawing is looked at; the canvases follow the size."""
    events, more = MoreEvents(p), p.control.more
    second, source = more.second, more.source
    looked = [p.control.number, more.size, *source.read, *second.drawing]
    seen, asked = [second.seen, second.notes], {**LOOK_QUEUE, "js": NUMBERED_JS}
    chosen_anew = [second.control, second.way, second.annotator]
    fitted_to = [second.way, second.offered, second.annotator, *more.begun]
    ways = answer_last([second.control.change], events.choose, chosen_anew, fitted_to)
    ways.then(events.look, looked, seen, trigger_mode="always_last", **asked, **QUIET)
    changes = [second.painting.change, second.lines.change, second.photo.change, second.way.change, more.size.change]
    changes += [chosen(second.annotator), second.reading.framing.input]
    changes += [part.input for part in second.reading.settings]
    answer_last(changes, events.look, looked, seen, **asked)
    answer_last([part.change for part in source.read], events.look_begun, looked, seen, **asked)
    answer_last([more.size.change], events.shape, [more.size], more.shape)
    shown = [more.size.change, source.picture.change]
    answer_last(shown, events.lay_under, [more.size, source.picture], source.under, **LOOK_QUEUE)
    source.picture.upload(events.begin_from, [more.size, source.picture], [more.size, source.picture], **QUIET)
    p.control.photo.upload(events.size_of_picture, [more.size, p.control.photo], more.size, **QUIET)
