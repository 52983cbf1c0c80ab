"""A model whose every run is one comparison made beforehand: what the page does with a run, without its seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from hgc.landscapes import examples
from hgc.request import Request
from hgc.results.comparison import Comparison, Progress
from hgc.studio.studio import Studio

STEPS = 4

SEEN_S = 0.5  # so long a preview stands at least


class Prerecorded:
    """A studio in whose place `made` is shown by every run, as soon as `finish` is set."""

    def __init__(self, studio: Studio, made: Comparison) -> None:
        self._studio, self.made, self.finish = studio, made, threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._studio, name)

    def compare(
        self, request: Request, *, cancel: threading.Event | None = None, drawn: Any = None, forecast: Any = None
    ) -> Iterator[Progress | Comparison]:
        for arm in self.made.arms.values():
            yield Progress(arm.name, 1, arm.steps, arm.image, 1.0)
        assert self.finish.wait(120)
        time.sleep(SEEN_S)
        yield self.made


def recorded(studio: Studio, **changed: Any) -> Comparison:
    """The first example, drawn in a few steps."""
    example = examples.gallery()[0]
    png = studio.prepare_control(example.pixels, example.control).png
    fields = {"steps": STEPS, "prompt": example.prompt, "seed": example.seed, "budget": 0.7} | changed
    *_, made = studio.compare(Request.make(png, **fields))
    assert isinstance(made, Comparison)
    return made
