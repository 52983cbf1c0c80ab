"""Calibrate where it is missed: under Method, when nothing measured fits what the form says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.charts.quantity import duration
from hgc.planning.calibrations import NotCalibrated
from hgc.ui.playground.asked import asked_of
from hgc.ui.playground.cache_events import CacheEvents
from hgc.ui.playground.settling import settle_after
from hgc.ui.pressing import PressStep, Updates, wire_start, wire_stop
from hgc.ui.queueing import answer_last
from hgc.ui.remarks import aside
from hgc.ui.schedules.calibration import CalibrationEvents

if TYPE_CHECKING:
    from hgc.request import Recipe
    from hgc.ui.playground.tab import Playground

SCENES = 8


def unmeasured(recipe: Recipe) -> str:
    """A sentence on what of a recipe a calibration leaves out, where it does: the method goes on lacking that."""
    left = ["the second control"] if recipe.second is not None else []
    left += ["the LoRAs"] if recipe.loras else []
    if not left:
        return ""
    return f" It measures without {' and '.join(left)}: take them out to use what it gives, or choose another method."


class CalibratingHere:
    """Shows the button and does what it says."""

    def __init__(self, p: Playground) -> None:
        self._page, self._missed, self._loader = p, p.cache.missed, p.runner.loader
        self._events = CalibrationEvents(self._missed, p)

    def offer(self, *values: Any) -> Updates:
        """The button with the time that it takes, where the method lacks a calibration."""
        missed = CacheEvents(self._page).lacks(*values)
        if not isinstance(missed, NotCalibrated):
            return {self._missed.row: gr.update(visible=False)}
        recipe = CacheEvents(self._page).plain(*values)
        full_ms = self._loader.studio().forecast(recipe).latency_ms_full
        long = (
            "each takes as long as a full picture" if full_ms is None else f"about {duration(SCENES * full_ms / 1e3)}"
        )
        words = f"Calibrate measures it here over {SCENES} scenes: {long}. If you stop it, it continues next time."
        words += unmeasured(recipe)
        return {self._missed.row: gr.update(visible=True), self._missed.told: aside(words)}

    def run(self, page: gr.Request, name: str, *form: Any) -> Iterator[Updates]:
        """Measures what the form asks for."""
        yield from self._events.run(page, name, SCENES, *form)

    def wire(self) -> None:
        """Offered for what the form says; afterwards the method plans from what was measured."""
        p, missed, events = self._page, self._missed, self._events
        shown = [missed.row, missed.told]
        changes = [p.cache.reason.change, p.cache.method.change]
        answer_last(changes, self.offer, asked_of(p), shown)
        subject = [*p.control.map, p.picture.steps, p.picture.sampler, p.picture.guidance]
        run = PressStep(self.run, subject, [missed.told, *missed.pressing.buttons])
        done = wire_start(
            missed.pressing, missed.pressing.starts[0], PressStep(events.note, outputs=[missed.told]), run
        )
        wire_stop(missed.pressing, PressStep(events.stop))
        settle_after(done.then, CacheEvents(p).settle, p, asked_of(p))
