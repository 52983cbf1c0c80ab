"""Times on this device: of every site, from a few watched steps; of pictures, from the last comparison."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from hgc.cache.anatomy import PREDICTION, UNGUIDED
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.running.engine import cached
from hgc.planning.row_times import RowTimes
from hgc.studio.call import stepping
from hgc.studio.cores import take_free_cores
from hgc.studio.worker import WORKER

if TYPE_CHECKING:
    from hgc.cache.anatomy import Anatomy
    from hgc.request import Recipe
    from hgc.studio.studio import Studio

BOTH, ONE, NONE = 4, 3, 2  # steps that run both guidance branches, one of them, and no network


def shape_of(recipe: Recipe) -> Hashable:
    """Everything that the times of a model's sites depend on."""
    return recipe.controls, recipe.size, recipe.guidance > 1, recipe.sampler, recipe.loras


def row_times(studio: Studio, recipe: Recipe) -> RowTimes:
    """Measured now, on a blank map. Raises PlanRefused where sites cannot be timed."""
    if studio.lent:
        raise PlanRefused("times are not measured on a borrowed accelerator; choose a budget instead")
    if studio.recordings is not None:
        raise PlanRefused("recorded steps cannot be timed site by site; choose a budget instead, or switch them off")
    return WORKER.run(lambda: _watched(studio, recipe))


def timing_plan(anatomy: Anatomy, *, guided: bool) -> Plan:
    """Every kind of step that plans are made of, each more than once; what is constant is computed in every step."""
    table = {PREDICTION: "C" * (BOTH + ONE) + "R" * NONE}
    if guided:
        table[UNGUIDED] = "C" * BOTH + "R" * (ONE + NONE)
    return Plan(Origin("timing"), BOTH + ONE + NONE, anatomy.model, table)


def _watched(studio: Studio, recipe: Recipe) -> RowTimes:
    if studio.loaded.device.type == "cpu":
        take_free_cores()
    plan = timing_plan(studio.anatomy(recipe), guided=recipe.guidance > 1)
    whole = {"steps": plan.steps, "control_scale": 1.0, "control_start": 0.0, "control_end": 1.0}
    plain = {"method": "hgc", "budget": None, "at_least": None, "plan": None, "rival": None, "verify": None}
    width, height = recipe.size or studio.size
    blank = studio.prepare_control(np.zeros((height, width, 4), np.uint8), recipe.control, size=recipe.size)
    request = recipe.but(**whole, **plain).with_map(blank.png)
    pipe = studio.loaded_for(request).pipeline(request.controls, request.sampler, request.task)
    call = studio.call(request)
    begun = perf_counter()
    with cached(pipe, plan, timed=True) as run:
        pipe(**{**call, **stepping(request, plan.steps)})
    return RowTimes.of(run.trace, (perf_counter() - begun) * 1e3)


@dataclass(frozen=True)
class Timing:
    """The times of the last comparison in this process: two points of cost against time."""

    macs: tuple[int, int]
    latency_ms: tuple[float, float]

    def latency_of(self, macs: int) -> float:
        """Time for that many MACs: on the line through both points, or in proportion where they lie too close."""
        (x0, x1), (y0, y1) = self.macs, self.latency_ms
        apart = x0 > 1.2 * x1 and y0 > y1
        return y0 + (macs - x0) * (y1 - y0) / (x1 - x0) if apart else y0 * macs / x0
