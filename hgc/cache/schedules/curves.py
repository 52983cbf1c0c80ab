"""The questions a schedule asks of measured change curves; `hgc.calibration.curves.ChangeCurves` answers."""

from __future__ import annotations

from typing import Protocol


class Curves(Protocol):
    """How far each site's output moves from step to step."""

    @property
    def steps(self) -> int:
        """The number of steps that were measured."""

    def of(self, site: str) -> tuple[float, ...]:
        """The relative change of a site in each step. Raises CalibrationRefused where it was not measured."""

    @property
    def magnitudes(self) -> tuple[float, ...]:
        """MagCache's ratio of each step: of the output's difference to the input, to the step before's; the first is 1.

        Raises CalibrationRefused where it was not measured.
        """

    def check(self, model: str, steps: int) -> None:
        """Raises CalibrationRefused when the curves are of another model or other steps."""
