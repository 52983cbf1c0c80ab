"""Change curves: how far every site's output moves from step to step, over many prompts and seeds. Plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from math import isfinite
from typing import Any

from hgc.cache.rules import CalibrationRefused
from hgc.calibration.subject import AGAIN, Subject
from hgc.json_text import parsed

ROUNDING = 1e-9
REACH = 1.3  # up to so many times its share a plan with fitted lines is closer to full compute than one in closed form


@dataclass(frozen=True)
class Distilled:
    """The one Block Caching plan that scale and shift are for: its settings, its share of full compute, its
    table's name (`table_name`), and whether they were fitted or are kept from the closed form."""

    share: float
    delta: float
    control: float
    output: float
    table: str
    fitted: bool = True

    def __post_init__(self) -> None:
        numbers = self.share, self.delta, self.control, self.output
        if (
            not isinstance(self.table, str)
            or not isinstance(self.fitted, bool)
            or not all(isinstance(n, float) and isfinite(n) for n in numbers)
        ):
            raise TypeError(f"distilled for {numbers}, table {self.table!r}: four numbers and a word")

    @property
    def reach(self) -> float:
        """The greatest share that it is taken for."""
        return self.share * (REACH if self.fitted else 1.0) + ROUNDING

    def as_dict(self) -> dict[str, Any]:
        """Without `fitted` where it is: digests from before there was another way stay."""
        data = asdict(self)
        if self.fitted:
            del data["fitted"]
        return data

    def __str__(self) -> str:
        return f"Block Caching at {self.share:.1%} of full compute"


def table_name(table: Mapping[str, str]) -> str:
    """Twelve hex digits that name what a plan does in every step, whatever it is called and forecasts with."""
    return sha256(json.dumps(dict(table), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class ChangeCurves:
    """Relative L1 change of each site's output since the step before (Block Caching, arXiv 2312.03209, sec. 3.1).

    `mean[site][i]` and `spread[site][i]` (standard deviation) are of step i, over `scenes` scenes, each with a prompt,
    a control map and a seed of its own; step 0 has nothing before it and is 0. `adjustment` is the digest of the
    scale-shift numbers measured in the same runs; `versions` names the libraries. `distilled_for` is the plan for which
    these numbers were fitted since: they hold for no other, the curves as ever. `ratios` are MagCache's magnitude
    ratios by step (see hgc.calibration.magnitudes), means over the first `ratio_scenes` of these scenes; older
    calibrations have none.
    """

    subject: Subject
    scenes: int
    mean: Mapping[str, tuple[float, ...]]
    spread: Mapping[str, tuple[float, ...]]
    adjustment: str | None = None
    versions: Mapping[str, str] | None = None
    distilled_for: Distilled | None = None
    ratios: tuple[float, ...] | None = None
    ratio_scenes: int | None = None

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise CalibrationRefused(f"change curves of {self.scenes} scenes; {self.subject.again}")
        if self.mean.keys() != self.spread.keys() or not self.mean:
            raise CalibrationRefused(
                f"change curves of {len(self.mean)} sites with spreads of {len(self.spread)}; {self.subject.again}"
            )
        for curves in (self.mean, self.spread):
            for site, values in curves.items():
                if len(values) != self.subject.steps:
                    raise CalibrationRefused(
                        f"change curve of '{site}': {len(values)} values, {self.subject.steps} steps; "
                        f"{self.subject.again}"
                    )
                if not all(isfinite(value) and value >= 0 for value in values):
                    raise CalibrationRefused(
                        f"change curve of '{site}': a value is negative or not a number; {self.subject.again}"
                    )

        if self.ratios is not None and (
            len(self.ratios) != self.subject.steps or not all(isfinite(ratio) and ratio > 0 for ratio in self.ratios)
        ):
            raise CalibrationRefused(
                f"magnitude ratios: {len(self.ratios)} for {self.subject.steps} steps, or one that is not a number "
                f"above 0; {self.subject.again}"
            )

    @property
    def steps(self) -> int:
        return self.subject.steps

    @property
    def magnitudes(self) -> tuple[float, ...]:
        """MagCache's ratios by step. Raises CalibrationRefused where they were not measured."""
        if self.ratios is None:
            raise CalibrationRefused(
                f"the calibration of {self.subject} has no magnitude ratios, which were not measured when it was made; "
                f"{self.subject.again}"
            )
        return self.ratios

    def of(self, site: str) -> tuple[float, ...]:
        """The mean curve of a site. Raises CalibrationRefused where it was not measured."""
        if site not in self.mean:
            raise CalibrationRefused(
                f"site '{site}' was not measured in the calibration of {self.subject.model}; {self.subject.again}"
            )
        return self.mean[site]

    def accumulated(self, site: str) -> tuple[float, ...]:
        """The change of a site added up from the first step on; what a threshold is compared with."""
        return tuple(accumulate(self.of(site)))

    def check(self, model: str, steps: int) -> None:
        """Raises CalibrationRefused when the curves are of another model or other steps."""
        self.subject.check(replace(self.subject, model=model, steps=steps), "change curves")

    def check_weights(self, own: str, remedy: str | None = None) -> None:
        """Raises CalibrationRefused when they were measured on weights of another name (`weights_of`)."""
        if (measured := (self.versions or {}).get("weights")) != own:
            raise CalibrationRefused(
                f"change curves of {self.subject}: measured on weights {measured}, this model's are {own}; "
                f"{remedy or self.subject.again}"
            )

    def check_table(self, table: Mapping[str, str]) -> None:
        """Raises CalibrationRefused when scale and shift were distilled for a plan of another table."""
        if self.distilled_for is not None and self.distilled_for.table != table_name(table):
            raise CalibrationRefused(
                f"scale and shift {self.adjustment} were distilled for {self.distilled_for} alone, and this is "
                f"another plan; choose that one, or get some for every plan: {self.subject.command}"
            )

    def check_share(self, share: float) -> None:
        """Raises CalibrationRefused when scale and shift were distilled for a greater share, or one far below."""
        fitted_for = self.distilled_for
        if fitted_for is not None and not fitted_for.share - ROUNDING <= share <= fitted_for.reach:
            raise CalibrationRefused(
                f"scale and shift {self.adjustment} were distilled for {fitted_for} and a little more, and this "
                f"is {share:.1%}; choose that one, or get some for every plan: {self.subject.command}"
            )

    def as_dict(self) -> dict[str, Any]:
        data = {part.name: getattr(self, part.name) for part in fields(self)} | {"subject": asdict(self.subject)}
        optional = {
            "distilled_for": self.distilled_for and self.distilled_for.as_dict(),
            "ratios": self.ratios,
            "ratio_scenes": self.ratio_scenes,
        }
        for name, value in optional.items():
            del data[name]
            data |= {} if value is None else {name: value}  # digests of those without stay
        return data

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=1, default=list)

    @classmethod
    def from_json(cls, text: str, where: str = "change curves") -> ChangeCurves:
        """Raises CalibrationRefused when the text, which comes from `where`, is truncated or something else."""
        try:
            data = parsed(text)
        except ValueError as error:
            raise CalibrationRefused(f"{where}: cut off or not JSON ({error}); delete it and {AGAIN}") from error
        known = {part.name for part in fields(cls)}
        if not isinstance(data, dict) or not {"subject", "scenes", "mean", "spread"} <= set(data) <= known:
            raise CalibrationRefused(
                f"{where}: not change curves, which have {', '.join(sorted(known))}; delete it and {AGAIN}"
            )
        try:
            curves = {name: {site: tuple(row) for site, row in data[name].items()} for name in ("mean", "spread")}
            later: dict[str, Any] = {"ratios": tuple(data["ratios"])} if data.get("ratios") is not None else {}
            if "distilled_for" in data:
                later["distilled_for"] = Distilled(**data["distilled_for"])
            return cls(**{**data, **curves, **later, "subject": Subject(**data["subject"])})
        except (TypeError, AttributeError) as error:
            raise CalibrationRefused(f"{where} is malformed ({error}); delete it and {AGAIN}") from error

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that name these curves."""
        return sha256(json.dumps(self.as_dict(), sort_keys=True, default=list).encode()).hexdigest()[:12]
