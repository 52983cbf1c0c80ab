"""The settings a calibration is for: a model, a control, a sampler, a number of steps and a guidance."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hgc import limits
from hgc.cache.rules import CalibrationRefused

AGAIN = "calibrate again: python -m hgc calibrate --model … --control … --sampler … --steps … --guidance … --out ….json"
OWN = "runs/calibration"  # where those made here are looked for, in the working folder


@dataclass(frozen=True)
class Subject:
    """The settings that were calibrated: curves hold for this model, control, solver, number of steps and guidance."""

    model: str
    control: str
    sampler: str
    steps: int
    guidance: float

    def __post_init__(self) -> None:
        """Its words become the name of a file. Raises CalibrationRefused for any that would lead elsewhere."""
        for word in (self.model, self.control, self.sampler):
            if not isinstance(word, str) or word != Path(word).name or len(word) > limits.NAME_CHARS or "\0" in word:
                raise CalibrationRefused(f"{str(word)[:40]!r} is not the name of a model, a control or a sampler")

    def __str__(self) -> str:
        return f"{self.model}, {self.control}, {self.sampler}, {self.steps} steps, guidance {self.guidance:g}"

    @property
    def name(self) -> str:
        """The beginning of its calibrations' file names; the same for every guidance."""
        return f"{self.model}-{self.control}-{self.sampler}-{self.steps}"

    @property
    def command(self) -> str:
        """The shell command that calibrates it, into the place where it is looked up."""
        return (
            f"python -m hgc calibrate --model {self.model} --control {self.control} --sampler {self.sampler} "
            f"--steps {self.steps} --guidance {self.guidance:g} --out {OWN}/{self.name}-{self.guidance:g}.json"
        )

    @property
    def again(self) -> str:
        """The remedy where a calibration of it is at fault."""
        return f"calibrate again: {self.command}"

    def check(self, other: Subject, what: str, remedy: str | None = None) -> None:
        """Raises CalibrationRefused when `what`, which is of this subject, is used for another."""
        if differing := self._differing(other):
            name = differing[0]
            raise CalibrationRefused(
                f"{what}: {name} is {getattr(self, name)}, this run has {getattr(other, name)}; {remedy or other.again}"
            )

    def carried_over(self, subject: Subject) -> dict[str, Any]:
        """The settings in which another subject is not this one, as Origin.carried_over has them; none for itself."""
        return {name: getattr(self, name) for name in self._differing(subject)}

    def _differing(self, other: Subject) -> list[str]:
        return [part.name for part in fields(self) if getattr(self, part.name) != getattr(other, part.name)]
