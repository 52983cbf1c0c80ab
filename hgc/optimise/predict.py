"""An error table, and what it says of a course: its cost, exactly, and how far it will stray. No model is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import CalibrationRefused
from hgc.cache.schedules import cut_site, decoder_layers, full, kept_residuals
from hgc.calibration.subject import Subject
from hgc.optimise.course import FULL, REMEMBERED, SKIP, Course, SiteRow, plan_of, rows

Numbers = NDArray[np.float64]
OUTPUT = "output"  # the prediction that the solver sees, both branches brought together


@dataclass(frozen=True)
class ErrorTable:
    """Measurements of full runs of `scenes` painted scenes; of some older ones `drawings` are hand-like drawings.

    `products[site]` are the inner products G, [steps, steps]. `gains[depth][i]` is the error of the output for each
    unit of relative error of the feature kept at that depth in step i; `growth[i]` the error of the final latents for
    each unit of error of the output at step i, the solver's coefficients and all later steps' reaction in it.
    `attention[site]` is the error of the output for each unit of relative error of a cross-attention, in any step.
    """

    subject: Subject
    scenes: int
    products: Mapping[str, Numbers]
    gains: Mapping[str, Numbers]
    growth: Numbers
    attention: Mapping[str, float] = field(default_factory=dict)
    drawings: int = 0

    def weights(self, site: str, at: int, past: tuple[int, ...], ridge: float) -> tuple[float, ...]:
        """The weights of least squares; a whole prediction's are those best for what the solver sees.

        Raises CalibrationRefused for a site that was not measured.
        """
        return best_weights(self._of(OUTPUT if site == PREDICTION else site), at, past, ridge)

    def error(self, site: str, at: int, past: tuple[int, ...], ridge: float) -> float:
        """Root mean square error of the best forecast, in the site's own units."""
        return forecast_error(self._of(site), at, past, self.weights(site, at, past, ridge))

    def _of(self, site: str) -> Numbers:
        if site not in self.products:
            raise CalibrationRefused(f"site '{site}' is not in the error table of {self.subject}; measure it again")
        return self.products[site]


def best_weights(products: Numbers, at: int, past: tuple[int, ...], ridge: float) -> tuple[float, ...]:
    """Of least squares; `ridge`, a share of the mean square, holds them small."""
    among = products[np.ix_(past, past)]
    held = ridge * np.trace(among) / len(past) * np.eye(len(past))
    return tuple(float(w) for w in np.linalg.solve(among + held, products[list(past), at]))


def forecast_error(products: Numbers, at: int, past: tuple[int, ...], weights: tuple[float, ...]) -> float:
    """Root of the squared error of a weighted sum of the values at `past` for that at `at`."""
    signed = np.array([*weights, -1.0])
    square = signed @ products[np.ix_((*past, at), (*past, at))] @ signed
    return sqrt(max(float(square), 0.0))


class Predictor:
    """Costs are shares of the full paper-convention MACs of `steps` steps; errors are of the final latents, as rms.

    The errors of all steps are taken to add up: those of neighbouring steps point the same way.
    """

    def __init__(self, anatomy: Anatomy, table: ErrorTable, guided: bool | None = None) -> None:
        self.anatomy, self.table = anatomy, table
        self._guided = table.subject.guidance > 1 if guided is None else guided
        self._whole = plan_macs(full(anatomy, 1), anatomy, guidance=self._guided).paper * table.subject.steps
        self._feature: dict[tuple[str, int, tuple[int, ...], float], float] = {}
        self._output: dict[tuple[int, tuple[int, ...], float], float] = {}
        self._costs: dict[tuple[str, str, bool], int] = {}

    def plan(self, course: Course) -> Plan:
        return plan_of(course, self.anatomy, self.table)

    def cost(self, course: Course) -> float:
        """The same as the plan's MACs, which depend on each step's letters alone, once the first is done."""
        letters = zip(course.depths, course.branches, strict=True)
        return sum(self._step_macs(d, b, i == 0) for i, (d, b) in enumerate(letters)) / self._whole

    def step_cost(self, depth: str, branch: str = "2") -> float:
        """The share of one step after the first."""
        return self._step_macs(depth, branch, False) / self._whole

    def _step_macs(self, depth: str, branch: str, first: bool) -> int:
        key = (depth, branch, first)
        if key not in self._costs:
            start = Course.full(1 if first else 3)
            course = start if first else Course(start.depths + depth, start.branches + branch)
            self._costs[key] = self._macs(course) - (0 if first else self._macs(start))
        return self._costs[key]

    def _macs(self, course: Course) -> int:
        return plan_macs(plan_of(course, self.anatomy, None), self.anatomy, guidance=self._guided).paper

    def error(self, course: Course) -> float:
        """Predicted rms error of the final latents; infinite where a value is kept that was never computed."""
        all_rows = tuple(rows(course, self.anatomy))
        return sum(self.step_error(course, all_rows, step) for step in range(course.steps))

    def step_error(self, course: Course, course_rows: tuple[SiteRow, ...], step: int) -> float:
        """The part of one step in it."""
        depth, branches = course.depths[step], int(course.branches[step])
        if depth == SKIP:
            (row,) = [row for row in course_rows if row.site == PREDICTION]
            return self.table.growth[step] * self.skipped(step, row.past(step, 2)[-REMEMBERED:], course.ridge)
        error = 0.0
        if depth != FULL:
            feature = [row for row in course_rows if row.kept[step] and row.site not in (PREDICTION, UNGUIDED)]
            pasts = tuple((row.site, row.past(step, branches)[-REMEMBERED:]) for row in feature)
            error += self.table.gains[depth][step] * self.features(step, pasts, course.ridge)
        if branches == 1 and self._guided:
            (row,) = [row for row in course_rows if row.site == UNGUIDED]
            past = row.past(step, 2)[-REMEMBERED:]
            error += (self.table.subject.guidance - 1) * (
                self.table.error(UNGUIDED, step, past, course.ridge) if past else inf
            )
        return self.table.growth[step] * error

    def letter_error(self, letter: str, step: int, past: tuple[int, ...], ridge: float) -> float:
        """The error that a step adds, by its letter alone; `past` are the steps in which what it keeps was computed."""
        growth = float(self.table.growth[step])
        if letter == SKIP:
            return growth * self.skipped(step, past, ridge)
        layers = int(letter) if letter.isdigit() else len(decoder_layers(self.anatomy))
        sites = kept_residuals(self.anatomy, layers) + ([cut_site(self.anatomy, layers)] if letter.isdigit() else [])
        relative = self.features(step, tuple((site, past) for site in sites), ridge)
        return growth * float(self.table.gains[letter][step]) * relative

    def skipped(self, step: int, past: tuple[int, ...], ridge: float) -> float:
        """Error of the output where the whole prediction is kept."""
        if not past:
            return inf
        key = (step, past, ridge)
        if key not in self._output:
            weights = self.table.weights(PREDICTION, step, past, ridge)
            self._output[key] = forecast_error(self.table.products[OUTPUT], step, past, weights)
        return self._output[key]

    def features(self, step: int, pasts: tuple[tuple[str, tuple[int, ...]], ...], ridge: float) -> float:
        """Relative error of kept features together: the root of the squares' sum."""
        return sum(self._relative(site, step, past, ridge) ** 2 for site, past in pasts) ** 0.5

    def _relative(self, site: str, step: int, past: tuple[int, ...], ridge: float) -> float:
        if not past:
            return inf
        key = (site, step, past, ridge)
        if key not in self._feature:
            size = self.table.products[site][step, step] ** 0.5
            self._feature[key] = self.table.error(site, step, past, ridge) / size
        return self._feature[key]

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The depths of a step, from the cheapest to computing everything."""
        return tuple(sorted((SKIP, *self.table.gains, FULL), key=self.step_cost))
