"""Fits the scale and shift of one Block Caching plan on a loaded model, and judges them beside the closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, CalibrationRefused, Forecast
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


@dataclass(frozen=True)
class Distillation:
    """The Block Caching plan of a calibration within a share of full compute.

    Raises CalibrationRefused when the calibration was itself distilled, or measured on other weights.
    """

    studio: Studio
    measured: Calibration
    budget: float

    def __post_init__(self) -> None:
        curves = self.measured.curves
        if (before := curves.distilled_for) is not None:
            raise CalibrationRefused(
                f"this calibration is distilled already, for {before.plan}; give the calibration that it was made from"
            )
        curves.check_weights(self.studio.weights_under(self.subject.control))

    def __str__(self) -> str:
        return f"Block Caching at {self.budget:.1%} of full compute"

    @property
    def subject(self) -> Subject:
        return self.measured.curves.subject

    @on_worker
    def learned(self, fit: Fit, state: Path, told: Told) -> Calibration:
        """The calibration with lines fitted for this plan alone, which it names; `state` is as `distil` takes it."""
        start = self.measured.adjustment
        plan = self._plan(_lines(start))
        lines = distil(
            self._pipe, plan, start, lambda i: self._call(CALIBRATION_SEEDS + i), fit, state=state, told=told
        )
        fitted_for = Distilled(str(self), table_name(plan.table))
        return Calibration(replace(self.measured.curves, adjustment=lines.digest, distilled_for=fitted_for), lines)

    @on_worker
    def errors(self, learned: Calibration, scenes: int) -> dict[str, float]:
        """Mean distance of the last latents from the full run's on so many other scenes, without lines and with."""
        squares, lines = self.measured.adjustment, learned.adjustment
        arms: dict[str, tuple[Plan, Adjustment | None]] = {
            "kept as it is": (self._plan(REPEAT), None),
            "least squares": (self._plan(_lines(squares)), squares),
            "distilled": (self._plan(_lines(lines)), lines),
        }
        distances: dict[str, list[float]] = {name: [] for name in arms}
        for number in range(scenes):
            asked = self._call(HELD_OUT_SEEDS + number)
            teacher = trajectory(self._pipe, asked)
            for name, (plan, adjustment) in arms.items():
                distances[name].append(follow(self._pipe, plan, asked, teacher, adjustment))
        return {name: fmean(those) for name, those in distances.items()}

    @property
    def _pipe(self) -> Any:
        return self.studio.loaded.pipeline(self.subject.control, self.subject.sampler)

    def _plan(self, forecast: Forecast) -> Plan:
        longest, guided = self.measured.adjustment.longest, self.subject.guidance > 1
        settings = schedules.BlockCaching(share=self.budget, forecast=forecast, longest=longest)
        return settings.plan(self.studio.anatomy(), self.subject.steps, self.measured.curves, guidance=guided)

    def _call(self, seed: int) -> Mapping[str, Any]:
        return {**self.studio.call(painted(self.studio, seed, asdict(self.subject))), "output_type": "latent"}


def _lines(adjustment: Adjustment) -> Forecast:
    return Forecast("scale_shift", fitted=adjustment.digest)
