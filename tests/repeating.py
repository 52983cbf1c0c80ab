"""A model that draws one recorded run again and again: the page around a run, without a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.schedules import HGC
from hgc.control.reading import Reading
from hgc.history import opening
from hgc.landscapes.labels import PALETTE
from hgc.models.presets import presets
from hgc.request import Recipe, Request
from hgc.results.comparison import Comparison, Progress
from hgc.results.forecast import Forecast
from hgc.results.records import comparison_of
from hgc.studio.control_map import Prepared, prepare_control
from hgc.studio.world import LANDSCAPES


class Repeating:
    """Every run gives the pictures of the recording; a seed of its own turns them, so that other requests differ."""

    model, device, dtype, size = "landscapes", "cpu", "float32", (256, 256)
    loaded = SimpleNamespace(preset=presets()["landscapes"])
    world, inpaints = LANDSCAPES, False
    blueprint = SimpleNamespace(check=lambda recipe: None)  # of a model that takes everything
    controls, samplers = tuple(presets()["landscapes"].controls), presets()["landscapes"].samplers

    def __init__(self) -> None:
        self.made = replace(comparison_of(opening()), recorded=False)

    def palette(self) -> dict[str, tuple[int, int, int]]:
        return dict(PALETTE)

    def plan(self, recipe: Recipe) -> Plan:
        return Plan(Origin("hgc"), recipe.steps, self.model)

    def settings(self, recipe: Recipe) -> HGC:
        return HGC()

    def check_prompt(self, prompt: str) -> tuple[str, ...]:
        return ()

    def prepare_control(
        self,
        picture: np.ndarray,
        control: str,
        annotator: str | None = None,
        reading: Reading | None = None,
        size: tuple[int, int] | None = None,
        *,
        areas: bool = False,
    ) -> Prepared:
        world, size = self.world, size or self.size
        return prepare_control(picture, control, size, world.sets, annotator, reading, areas=areas, near=world.near)

    def forecast(self, recipe: Recipe) -> Forecast:
        macs, whole = self.made.cached.trace.macs, self.made.full.trace.macs
        return Forecast(macs, whole, macs.paper / whole.paper, 1000.0, 2000.0, self.plan(recipe))

    def calibration(self, subject: Any) -> None:
        """Nothing was measured."""

    def curves_of(self, plan: Any, request: Any) -> None:
        """Nothing was measured."""

    def compare(
        self, request: Request, *, cancel: threading.Event | None = None, forecast: Any = None
    ) -> Iterator[Progress | Comparison]:
        for arm in self.made.arms.values():
            yield Progress(arm.name, arm.steps, arm.steps, arm.image, 0.0)
        turned = {name: self._turned(arm, request.seed) for name, arm in self.made.arms.items()}
        yield replace(self.made, request=request, rival=None, full=turned["full"], cached=turned["cached"])

    @staticmethod
    def _turned(arm: Any, seed: int) -> Any:
        return replace(arm, image=np.ascontiguousarray(np.rot90(arm.image, seed % 4)))
