"""Fits the scale and shift of one Block Caching plan on a loaded model, and judges them beside the closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, CalibrationRefused, ForecastRule
from hgc.calibration.curves import Distilled, table_name
from hgc.calibration.distil import Fit, Told, distil, follow, trajectory
from hgc.calibration.files import Calibration
from hgc.calibration.lines import Adjustment
from hgc.calibration.subject import Subject
from hgc.studio.calibrating import CALIBRATION_SEEDS
from hgc.studio.scenes import painted
from hgc.studio.worker import on_worker

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

HELD_OUT_SEEDS = CALIBRATION_SEEDS + 50_000


CHOSEN_BY = 4  # scenes
TRIED = tuple((control, output) for control in (1.0, 0.5, 0.25) for output in (1.0, 0.5, 2.0))


@dataclass(frozen=True)
class Distillation:
    """The Block Caching plan of a calibration within a share of full compute.

    Its two groups of blocks have the thresholds, of those TRIED, that bring a few scenes nearest to their full runs.
    Raises CalibrationRefused when the calibration was itself distilled, or measured on other weights.
    """

    studio: Studio
    measured: Calibration
    budget: float

    def __post_init__(self) -> None:
        curves = self.measured.curves
        if (before := curves.distilled_for) is not None:
            raise CalibrationRefused(
                f"this calibration is distilled already, for {before}; give the calibration that it was made from"
            )
        curves.check_weights(self.studio.weights_under(self.subject.control))

    def __str__(self) -> str:
        return f"Block Caching at {self.budget:.1%} of full compute"

    @property
    def subject(self) -> Subject:
        return self.measured.curves.subject

    @on_worker
    def chosen(self, scenes: int) -> schedules.BlockCaching:
        """The settings that end nearest to the full runs of so many scenes, with lines in closed form."""
        calls = [self._call(CALIBRATION_SEEDS + number) for number in range(scenes)]
        teachers = [trajectory(self._pipe, call) for call in calls]
        errors: dict[str, float] = {}

        def error(settings: schedules.BlockCaching) -> float:
            plan = self._plan(settings, self.measured.adjustment)
            if plan.digest not in errors:
                runs = zip(calls, teachers, strict=True)
                errors[plan.digest] = fmean(follow(self._pipe, plan, *run, self.measured.adjustment) for run in runs)
            return errors[plan.digest]

        return min((self._within(control, output) for control, output in TRIED), key=error)

    @on_worker
    def learned(self, settings: schedules.BlockCaching, fit: Fit, state: Path, told: Told) -> Calibration:
        """The calibration with lines fitted for these settings alone, which it names; `state` is as `distil` has it."""
        start = self.measured.adjustment
        plan = self._plan(settings, start)
        lines, fitted = distil(
            self._pipe, plan, start, lambda i: self._call(CALIBRATION_SEEDS + i), fit, state=state, told=told
        )
        delta = settings.delta or 0.0
        fitted_for = Distilled(self.budget, delta, settings.control, settings.output, table_name(plan.table), fitted)
        return Calibration(replace(self.measured.curves, adjustment=lines.digest, distilled_for=fitted_for), lines)

    @on_worker
    def errors(self, settings: schedules.BlockCaching, learned: Calibration, scenes: int) -> dict[str, float]:
        """Mean distance of the last latents from the full run's on so many other scenes, without lines and with."""
        squares, lines = self.measured.adjustment, learned.adjustment
        arms = {
            "one threshold, least squares": (self._plan(self._within(1.0, 1.0), squares), squares),
            "kept as it is": (self._plan(settings, None), None),
            "least squares": (self._plan(settings, squares), squares),
            "distilled": (self._plan(settings, lines), lines),
        }
        distances: dict[str, list[float]] = {name: [] for name in arms}
        for number in range(scenes):
            call = self._call(HELD_OUT_SEEDS + number)
            teacher = trajectory(self._pipe, call)
            for name, (plan, adjustment) in arms.items():
                distances[name].append(follow(self._pipe, plan, call, teacher, adjustment))
        return {name: fmean(those) for name, those in distances.items()}

    @property
    def _pipe(self) -> Any:
        return self.studio.loaded.pipeline(self.subject.control, self.subject.sampler)

    def _within(self, control: float, output: float) -> schedules.BlockCaching:
        """The settings with the smallest delta that stays within the budget."""
        settings = schedules.BlockCaching(share=self.budget, control=control, output=output)
        delta = schedules.delta_of(self._plan(settings, self.measured.adjustment))
        return replace(settings, share=None, delta=delta)

    def _plan(self, settings: schedules.BlockCaching, lines: Adjustment | None) -> Plan:
        forecast = REPEAT if lines is None else ForecastRule("scale_shift", fitted=lines.digest)
        guided = self.subject.guidance > 1
        adjusted = replace(settings, forecast=forecast, longest=self.measured.adjustment.longest)
        return adjusted.plan(self.studio.anatomy(), self.subject.steps, self.measured.curves, guidance=guided)

    def _call(self, seed: int) -> Mapping[str, Any]:
        return {**self.studio.call(painted(self.studio, seed, asdict(self.subject))), "output_type": "latent"}
