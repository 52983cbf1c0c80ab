"""FasterCache (arXiv 2410.19355): the unguided branch is left out and the guidance difference kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from hgc.cache.anatomy import UNGUIDED, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import LINE, ForecastRule, FrequencySplit
from hgc.cache.schedules.rows import constants, keep_between
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class GuidanceReuse(Settings):
    """Both branches at the key steps, the guided one alone in between. The paper repeats; a line is ours.

    The kept difference's low frequencies weigh 1 + alpha_low before the share `turn` of the steps, its high ones
    1 + alpha_high after it (the paper's eq. 11, there with 0.2); the released code multiplies anew in every skipped
    step instead.
    """

    keys: tuple[int, ...]
    forecast: ForecastRule = LINE
    alpha_low: Annotated[float, Interval(ge=0, le=1)] = 0.0
    alpha_high: Annotated[float, Interval(ge=0, le=1)] = 0.0
    turn: Annotated[float, Interval(ge=0, le=1)] = 0.5

    def plan(self, anatomy: Anatomy, steps: int) -> Plan:
        rows = constants(anatomy, steps) | {UNGUIDED: keep_between(steps, self.keys, self.forecast)}
        split = self._split(steps) if self.alpha_low or self.alpha_high else None
        origin = Origin("guidance_reuse", self.knobs)
        return Plan(origin, steps, anatomy.model, rows, forecast=self.forecast, split=split)

    def _split(self, steps: int) -> FrequencySplit:
        early = [step < self.turn * steps for step in range(steps)]
        return FrequencySplit(
            low=tuple(1 + self.alpha_low * before for before in early),
            high=tuple(1 + self.alpha_high * (not before) for before in early),
        )
