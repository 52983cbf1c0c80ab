"""An example taken up: its map on its canvas, its words and seed, and its settings of the caches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.cache.schedules import HGC
from hgc.landscapes import examples
from hgc.ui.playground.cache_events import BY_HAND, by_hand_of
from hgc.ui.playground.cache_panel import write_settings
from hgc.ui.playground.control_events import look_after, on_canvas
from hgc.ui.playground.drawing import AUTO, SOURCES, offering
from hgc.ui.playground.reading_ways import LANDSCAPES, ways_of
from hgc.ui.queueing import QUIET
from hgc.ui.remarks import aside

if TYPE_CHECKING:
    from hgc.landscapes.examples import Example
    from hgc.ui.playground.tab import Playground

SET_JS = "(hand) => { if (hand) hgc.setByHand([]); }"


class ExampleEvents:
    """The answer to a choice in the gallery."""

    def __init__(self, playground: Playground) -> None:
        self._settings = playground.cache.settings

    def take(self, annotator: str, event: gr.SelectData) -> tuple[Any, ...]:
        """Puts an example on the canvas of its kind, with its words, its seed, and its settings where it has some."""
        example = examples.gallery()[event.index]
        canvases = on_canvas(example.pixels, example.control)
        ways = ways_of(LANDSCAPES, AUTO)
        way = annotator if annotator in [name for _, name in ways] else ways[0][1]
        kind = (AUTO, offering(SOURCES), gr.update(choices=ways, value=way))
        return *canvases, *kind, example.prompt, example.seed, *self._caches(example)

    def _caches(self, example: Example) -> tuple[Any, ...]:
        """The method by hand with the example's settings, and what it shows."""
        if example.cache is None:
            return (gr.skip(),) * (len(BY_HAND) + len(self._settings))
        by_hand = tuple(aside(example.about) if value == BY_HAND[1] else value for value in BY_HAND)
        return *by_hand, *write_settings(HGC(**example.cache))


def wire_examples(p: Playground) -> None:
    """Fills the form, then looks at the map."""
    panel = p.control
    canvases = [panel.source, panel.painting, panel.lines, panel.which, panel.offered, panel.annotator]
    filled = [*canvases, p.words.prompt, p.picture.seed, *by_hand_of(p.cache), *p.cache.settings]
    taken = panel.gallery.select(ExampleEvents(p).take, panel.annotator, filled, queue=False, **QUIET)
    taken.then(None, p.cache.hand, None, js=SET_JS, api_visibility="private")
    look_after(taken, p)
