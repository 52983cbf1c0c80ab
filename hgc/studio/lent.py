"""A studio on a ZeroGPU Space: every run borrows the accelerator, in a fork of this process that sends its result back.

`spaces` is imported here first, before anything imports torch: it puts an emulation in the accelerator's place, in
which the main thread loads the networks on "cuda" and from which each fork finds them on the real one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property

import spaces

from hgc.calibration.files import Calibration
from hgc.calibration.subject import Subject
from hgc.models.loaded import Loaded
from hgc.models.loading import load
from hgc.planning import Blueprint
from hgc.request import Recipe, Request
from hgc.results.comparison import Cancelled, Comparison, Progress
from hgc.results.forecast import Forecast
from hgc.studio.arm_cache import ArmCache
from hgc.studio.calibrating import ScenesMeasured
from hgc.studio.inspection import Inspection, Look
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio

# Of a share of an H200: finding the networks in the fork, then each step of each arm; asked for generously.
START_S, STEP_S, ARMS = 10, 0.5, 3
LONGEST_S = 120


def run_seconds(request: Request, _: Forecast | None = None) -> int:
    """How long the accelerator is borrowed for a comparison."""
    return min(LONGEST_S, round(START_S + ARMS * STEP_S * request.steps))


def look_seconds(comparison: Comparison) -> int:
    return run_seconds(comparison.request)


def calibration_seconds(subject: Subject, scenes: int) -> int:
    return min(LONGEST_S, round(START_S + scenes * STEP_S * subject.steps))


class LentStudio(Studio):
    """A studio whose runs borrow a device. Requests are checked before, so that a refusal borrows nothing."""

    lent = True

    def __init__(self, loaded: Loaded, judge: Judge) -> None:
        super().__init__(loaded, judge)
        # Once the page is served, only a fork can read the networks.
        self.anatomy()
        self.weights(Recipe(model=self.model))
        for control in self.controls:
            self.weights_under(control)
        self._compare_there = spaces.GPU(self._compare_here, duration=run_seconds)
        self._inspect_there = spaces.GPU(self._inspect_here, duration=look_seconds)
        self._calibrate_there = spaces.GPU(self._calibrate_here, duration=calibration_seconds)

    @cached_property
    def blueprint(self) -> Blueprint:
        """As a studio's; no LoRA can be loaded once only a fork reads the networks."""
        return replace(super().blueprint, adaptable=False)

    @classmethod
    def load(cls, model: str = "landscapes", device: str | None = None, dtype: str | None = None) -> LentStudio:
        """In the calling thread, which has to be the main one; nothing is warmed up before it is borrowed."""
        loaded = load(model, device=device, dtype=dtype)
        return cls(loaded, Judge.of(loaded.preset, loaded.device))

    def compare(
        self,
        request: Request,
        *,
        cancel: threading.Event | None = None,
        drawn: ArmCache | None = None,
        forecast: Forecast | None = None,
    ) -> Iterator[Progress | Comparison]:
        """As a studio's; a stop is heard between two steps, and every arm is drawn anew."""
        self.accept(request)
        forecast = forecast or self.forecast(request)
        with closing(self._compare_there(request, forecast)) as lent:
            for news in lent:
                if cancel is not None and cancel.is_set():
                    raise Cancelled("stopped on request")
                if isinstance(news, Comparison):
                    self.note_timing(news.request, news.full, news.cached)
                yield news

    def inspect(self, comparison: Comparison, *, cancel: threading.Event | None = None) -> Iterator[Look | Inspection]:
        """As a studio's; a stop is heard between two looks."""
        with closing(self._inspect_there(comparison)) as lent:
            for news in lent:
                if cancel is not None and cancel.is_set():
                    raise Cancelled("stopped on request")
                yield news

    def calibrate(
        self, subject: Subject, scenes: int, *, cancel: threading.Event | None = None
    ) -> Iterator[ScenesMeasured | Calibration]:
        """As a studio's; a stop is heard between two scenes."""
        with closing(self._calibrate_there(subject, scenes)) as lent:
            for news in lent:
                if cancel is not None and cancel.is_set():
                    raise Cancelled("stopped on request")
                yield news

    # Generators, as the package sends news one by one only of these.

    def _compare_here(self, request: Request, forecast: Forecast) -> Iterator[Progress | Comparison]:
        yield from super().compare(request, forecast=forecast)

    def _inspect_here(self, comparison: Comparison) -> Iterator[Look | Inspection]:
        yield from super().inspect(comparison)

    def _calibrate_here(self, subject: Subject, scenes: int) -> Iterator[ScenesMeasured | Calibration]:
        yield from super().calibrate(subject, scenes)
