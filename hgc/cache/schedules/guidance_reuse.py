"""FasterCache (arXiv 2410.19355): the unguided branch is left out and the guidance difference kept."""

from __future__ import annotations

from collections.abc import Iterable

from hgc.cache.anatomy import UNGUIDED, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import LINE, Forecast, FrequencySplit
from hgc.cache.schedules.rows import constants, in_range, keep_between


def guidance_reuse(
    anatomy: Anatomy,
    steps: int,
    *,
    keys: Iterable[int],
    forecast: Forecast = LINE,
    alpha_low: float = 0.0,
    alpha_high: float = 0.0,
    turn: float = 0.5,
) -> Plan:
    """Both branches at the key steps, the guided one alone in between. The paper repeats; a line is ours.

    The kept difference's low frequencies weigh 1 + alpha_low before the share `turn` of the steps, its high ones
    1 + alpha_high after it (the paper's eq. 11, there with 0.2); the released code multiplies anew in every skipped
    step instead. Raises PlanRefused for values out of range.
    """
    for name, value in (("alpha_low", alpha_low), ("alpha_high", alpha_high), ("turn", turn)):
        in_range(name, value, 0, 1)
    early = [step < turn * steps for step in range(steps)]
    split = FrequencySplit(
        low=tuple(1 + alpha_low * before for before in early),
        high=tuple(1 + alpha_high * (not before) for before in early),
    )
    keys = tuple(keys)
    rows = constants(anatomy, steps) | {UNGUIDED: keep_between(steps, keys, forecast)}
    weighed = split if alpha_low or alpha_high else None
    origin = Origin("guidance_reuse", {"keys": keys, "alpha_low": alpha_low, "alpha_high": alpha_high, "turn": turn})
    return Plan(origin, steps, anatomy.model, rows, forecast=forecast, split=weighed)
