"""Block Caching (arXiv 2312.03209): a block is computed again when it has changed enough since it last was.

What the public text leaves open is which outputs are kept. Ours (`LAYERS`) are those of ResNets, transformers and
ControlNet's residuals, each with a schedule of its own; what lies before a kept output is then dead unless another path
consumes it, and a refresh that nobody consumes waits. The other reading (`ADDED`) keeps only what a layer adds to the
stream it stands in, self-attention, cross-attention, feed-forward and the residuals; nothing is cut off, but ResNets
and projections are computed in every step, which bounds the saving. On Landscapes the first is better at equal cost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Annotated

from annotated_types import Interval

from hgc.cache.anatomy import Anatomy, Kind, State
from hgc.cache.anatomy.states import states
from hgc.cache.origin import Origin
from hgc.cache.plan import Action, Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import REPEAT, ForecastRule, PlanRefused
from hgc.cache.schedules.budget import ROUNDING, OutOfReach
from hgc.cache.schedules.curves import Curves
from hgc.cache.schedules.plain import full
from hgc.cache.schedules.rows import Rows, constants
from hgc.cache.schedules.settings import Settings

LAYERS = (Kind.RESNET, Kind.TRANSFORMER, Kind.RESIDUAL)
ADDED = (Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION, Kind.FEED_FORWARD, Kind.RESIDUAL)
TRIED = 40  # thresholds, from the smallest change to the greatest sum; then so many halvings below the first that fits
HALVINGS = 6
METHOD = "block_caching"
Off = Sequence[Collection[str]] | None


@dataclass(frozen=True)
class BlockCaching(Settings):
    """A site of these kinds is refreshed when its change, added up since it was computed, passes `delta` (sec. 3.2).

    Give `delta`, or the `share` of full paper-convention MACs to stay within, for which delta is solved. No value is
    kept for more than `longest` steps. `forecast` with basis `scale_shift` is the paper's adjustment; give it the
    greatest age that was calibrated as `longest`. Two groups of blocks have a threshold of their own: delta times
    `control` for the ControlNets and their residuals, delta times `output` for the decoder's last block.
    """

    delta: Annotated[float, Interval(ge=0, lt=inf)] | None = None
    share: float | None = None
    kinds: tuple[Kind, ...] = LAYERS
    forecast: ForecastRule = REPEAT
    longest: Annotated[int, Interval(ge=1)] | None = None
    control: Annotated[float, Interval(gt=0, lt=inf)] = 1.0
    output: Annotated[float, Interval(gt=0, lt=inf)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.delta is None) == (self.share is None):
            raise PlanRefused(f"delta {self.delta} and share {self.share}: give one of the two")

    def plan(self, anatomy: Anatomy, steps: int, curves: Curves, *, guidance: bool = True, off: Off = None) -> Plan:
        """`off[i]` names the ControlNets that are off in step i; where one sets in or ends, everything is refreshed.

        Raises PlanRefused for kinds that the model does not have, OutOfReach for a share below the least,
        CalibrationRefused for curves of another model or other steps.
        """
        curves.check(anatomy.model, steps)
        sites = [site.name for site in anatomy.of(*self.kinds) if not site.constant]
        if not sites:
            raise PlanRefused(f"{anatomy.model} has none of {', '.join(self.kinds)} to keep; choose other kinds")
        factors = _factors(sites, self.control, self.output)
        changes = {name: [change / factors[name] for change in curves.of(name)] for name in sites}

        def plan(delta: float) -> Plan:
            kept = _rows(anatomy, changes, delta, self.forecast, self.longest or steps, off)
            origin = Origin(METHOD, replace(self, delta=float(delta), share=None).knobs)
            return Plan(origin, steps, anatomy.model, constants(anatomy, steps) | kept, forecast=self.forecast)

        if self.share is None:
            return plan(self.delta or 0.0)
        cost = partial(plan_macs, anatomy=anatomy, guidance=guidance, off=off)
        whole = cost(full(anatomy, steps)).paper
        return _within(self.share, plan, lambda trial: cost(trial).paper / whole, _thresholds(changes))


def delta_of(plan: Plan) -> float | None:
    """The threshold that a plan of this method went by; None for any other plan's and for one edited since."""
    origin = plan.origin
    delta = origin.knobs.get("delta") if origin.method == METHOD and not origin.edited else None
    return delta if isinstance(delta, float) else None


def thresholds_of(plan: Plan, sites: Iterable[str]) -> Mapping[str, float] | None:
    """Of each of these sites the threshold that a plan of this method went by; None as for `delta_of`."""
    delta, knobs = delta_of(plan), plan.origin.knobs
    if delta is None:
        return None
    factors = _factors(sites, float(str(knobs.get("control", 1.0))), float(str(knobs.get("output", 1.0))))
    return {name: factor * delta for name, factor in factors.items()}


def _factors(sites: Iterable[str], control: float, output: float) -> dict[str, float]:
    """The multiple of delta of every site; the last block of the decoder is the one of the highest number."""
    names = list(sites)
    blocks = {name: int(name.split(".")[2]) for name in names if name.startswith("unet.up_blocks.")}
    last = max(blocks.values(), default=-1)
    return {name: output if blocks.get(name) == last else 1.0 if name.startswith("unet") else control for name in names}


def _thresholds(changes: Mapping[str, Sequence[float]]) -> list[float]:
    """Nothing, then a geometric row from the smallest change of a step to the greatest sum of a site."""
    widest = max(sum(curve) for curve in changes.values())
    smallest = min((change for curve in changes.values() for change in curve if change > 0), default=widest)
    return [0.0, *(smallest * (widest / smallest) ** (i / (TRIED - 1)) for i in range(TRIED))] if widest else [0.0]


def _within(
    share: float, plan: Callable[[float], Plan], cost: Callable[[Plan], float], thresholds: Sequence[float]
) -> Plan:
    """The plan of the smallest delta that costs at most `share` of full compute.

    A greater delta can cost more: blocks that are refreshed in other steps run what another one's refresh had saved.
    So the thresholds are tried upwards, and the first that fits is halved towards the one below.
    """
    least, low = inf, 0.0
    for high in thresholds:
        least = min(least, spent := cost(plan(high)))
        if spent <= share + ROUNDING:
            break
        low = high
    else:
        raise OutOfReach(f"budget {share:.0%}: the cheapest plan costs {least:.1%} of full compute; choose more", least)
    for _ in range(HALVINGS if high else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(plan(middle)) <= share + ROUNDING else (middle, high)
    return plan(high)


def _rows(
    anatomy: Anatomy,
    changes: Mapping[str, Sequence[float]],
    delta: float,
    forecast: ForecastRule,
    longest: int,
    off: Off,
) -> Rows:
    """A row for each site; a refresh in a step in which nobody consumes the site waits until somebody does."""
    gone, waited, fresh = dict.fromkeys(changes, inf), dict.fromkeys(changes, 0), dict.fromkeys(changes, 0)
    rows = dict.fromkeys(changes, "")
    for step in range(len(next(iter(changes.values())))):
        jumps = off is not None and step > 0 and set(off[step]) != set(off[step - 1])
        for name, curve in changes.items():
            gone[name] += inf if jumps else curve[step]
            waited[name] += 1
            due = gone[name] > delta or waited[name] > longest
            goes_on = forecast != REPEAT and fresh[name] >= forecast.least
            rows[name] += "C" if due else "F" if goes_on else "R"
        rest = {name: Action(row[-1]) for name, row in rows.items() if row[-1] != Action.COMPUTE}
        for name, state in states(anatomy, rest, off=off[step] if off else ()).items():
            if state is State.COMPUTED and name in changes:
                gone[name], waited[name], fresh[name] = 0.0, 0, fresh[name] + 1
    return rows
