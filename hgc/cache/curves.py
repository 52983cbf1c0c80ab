"""Change curves: how far every site's output moves from step to step, over many prompts and seeds. Plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from math import isfinite
from typing import Any

from hgc.cache.rules import PlanRefused

AGAIN = "calibrate again: python -m hgc calibrate"


class CalibrationRefused(PlanRefused):
    """A calibration that is damaged or of something else; one sentence with the remedy."""


@dataclass(frozen=True)
class Subject:
    """What was calibrated: curves hold for this model, control, solver, number of steps and guidance."""

    model: str
    control: str
    sampler: str
    steps: int
    guidance: float

    def __str__(self) -> str:
        return f"{self.model}, {self.control}, {self.sampler}, {self.steps} steps, guidance {self.guidance:g}"

    def check(self, other: Subject, what: str) -> None:
        """Raises CalibrationRefused when `what`, which is of this subject, is used for another."""
        differing = [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]
        if differing:
            name = differing[0]
            raise CalibrationRefused(
                f"{what}: {name} is {getattr(self, name)}, this run has {getattr(other, name)}; {AGAIN} for {other}"
            )


@dataclass(frozen=True)
class ChangeCurves:
    """Relative L1 change of each site's output since the step before (Block Caching, arXiv 2312.03209, sec. 3.1).

    `mean[site][i]` and `spread[site][i]` (standard deviation) are of step i, over `scenes` scenes, each with a prompt,
    a control map and a seed of its own; step 0 has nothing before it and is 0. `adjustment` is the digest of the
    scale-shift numbers measured in the same runs; `versions` names the libraries.
    """

    subject: Subject
    scenes: int
    mean: Mapping[str, tuple[float, ...]]
    spread: Mapping[str, tuple[float, ...]]
    adjustment: str | None = None
    versions: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise CalibrationRefused(f"change curves of {self.scenes} scenes; {AGAIN} with one or more")
        if self.mean.keys() != self.spread.keys() or not self.mean:
            raise CalibrationRefused(
                f"change curves of {len(self.mean)} sites with spreads of {len(self.spread)}; {AGAIN}"
            )
        for curves in (self.mean, self.spread):
            for site, values in curves.items():
                if len(values) != self.subject.steps:
                    raise CalibrationRefused(
                        f"change curve of '{site}': {len(values)} values, {self.subject.steps} steps; {AGAIN}"
                    )
                if not all(isfinite(value) and value >= 0 for value in values):
                    raise CalibrationRefused(f"change curve of '{site}': a value is negative or not a number; {AGAIN}")

    def of(self, site: str) -> tuple[float, ...]:
        """The mean curve of a site. Raises CalibrationRefused where it was not measured."""
        if site not in self.mean:
            raise CalibrationRefused(
                f"site '{site}' was not measured in the calibration of {self.subject.model}; {AGAIN} for this model"
            )
        return self.mean[site]

    def accumulated(self, site: str) -> tuple[float, ...]:
        """The change of a site added up from the first step on; what a threshold is compared with."""
        return tuple(accumulate(self.of(site)))

    def check(self, model: str, steps: int) -> None:
        """Raises CalibrationRefused when the curves are of another model or other steps."""
        for name, own, other in (("model", self.subject.model, model), ("steps", self.subject.steps, steps)):
            if own != other:
                raise CalibrationRefused(
                    f"change curves: {name} is {own}, this run has {other}; {AGAIN} with --{name} {other}"
                )

    def as_dict(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in fields(self)} | {"subject": asdict(self.subject)}

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=1, default=list)

    @classmethod
    def from_json(cls, text: str, where: str = "change curves") -> ChangeCurves:
        """Raises CalibrationRefused when the text, which comes from `where`, is truncated or something else."""
        try:
            data = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
            raise CalibrationRefused(f"{where}: cut off or not JSON{place}; {AGAIN}") from error
        known = {part.name for part in fields(cls)}
        if not isinstance(data, dict) or not {"subject", "scenes", "mean", "spread"} <= set(data) <= known:
            raise CalibrationRefused(f"{where}: not change curves, which have {', '.join(sorted(known))}; {AGAIN}")
        try:
            curves = {name: {site: tuple(row) for site, row in data[name].items()} for name in ("mean", "spread")}
            return cls(**{**data, **curves, "subject": Subject(**data["subject"])})
        except (TypeError, AttributeError) as error:
            raise CalibrationRefused(f"{where} is malformed ({error}); {AGAIN}") from error

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that name these curves."""
        return sha256(json.dumps(self.as_dict(), sort_keys=True, default=list).encode()).hexdigest()[:12]
