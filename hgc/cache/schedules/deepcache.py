"""DeepCache (arXiv 2312.00858): the deep UNet at some steps, its outer layers in every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Interval

from hgc.cache.anatomy import Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, ForecastRule, PlanRefused
from hgc.cache.schedules.decoder_layers import cut_site
from hgc.cache.schedules.rows import constants, keep_between
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class DeepCache(Settings):
    """Every `interval` steps in full, `branch` + 1 outer layers in between (a layer is a ResNet and its transformer).

    With `centre` as many full steps lie denser around that step (`power_around`), as in the paper's sec. 3.4. The
    paper repeats; `forecast` is ours.
    """

    interval: Annotated[int, Interval(ge=1)] = 3
    branch: Annotated[int, Interval(ge=0)] = 0
    centre: int | None = None
    power: Annotated[float, Interval(gt=1, le=3)] = 1.4
    forecast: ForecastRule = REPEAT

    def plan(self, anatomy: Anatomy, steps: int) -> Plan:
        """Raises PlanRefused for a centre or branch that this run or model does not have."""
        keys = tuple(range(0, steps, self.interval))
        if self.centre is not None:
            keys = power_around(steps, self.interval, self.centre, self.power)
        kept = {cut_site(anatomy, self.branch + 1): keep_between(steps, keys, self.forecast)}
        origin = Origin("deepcache", self.knobs)
        return Plan(origin, steps, anatomy.model, constants(anatomy, steps) | kept, forecast=self.forecast)


def power_around(steps: int, interval: int, centre: int, power: float) -> tuple[int, ...]:
    """About steps / interval full steps, step 0 among them, denser around `centre` the higher `power` is.

    As released: evenly spaced between the roots of the distances to both ends, raised to the power and rounded towards
    the centre. Before the centre the roots are of negative numbers and the released code takes their principal complex
    value and, after raising, its real part, where the paper's text suggests the mirrored power; we follow the code. The
    power is lowered by 0.02 until the steps are distinct. Raises PlanRefused where no power makes them so.
    """
    if not 0 < centre < steps:
        raise PlanRefused(f"centre {centre}: choose a step between 1 and {steps - 1}")
    count = -(-steps // interval)
    tried = power
    while tried > 1:
        places = np.linspace(complex(-centre) ** (1 / tried), complex(steps - centre) ** (1 / tried), count + 1)
        offsets = sorted({int(place.real) for place in places**tried})
        steps_on = (0, *(centre + offset for offset in offsets[1:-1]))
        if len(steps_on) == count:
            return steps_on
        tried -= 0.02
    raise PlanRefused(
        f"no {count} distinct steps of {steps} around {centre} with power {power}: choose a longer interval or another "
        "centre"
    )
