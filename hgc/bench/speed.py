"""Warm wall time of the plain pipeline, of the engine computing everything, and of a cached plan, taken in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

from hgc.cache import schedules
from hgc.cache.engine import cached
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.request import Request
from hgc.service import Studio
from hgc.service.worker import on_worker

WARM_UPS = 1


@dataclass(frozen=True)
class Speed:
    """Medians over `repeats` rounds; `speedup` is the median of plain over cached within each round.

    `kept` is how much of the saving in MACs (paper convention) arrives as time: speedup times the share of MACs.
    """

    plain_ms: float
    full_ms: float
    cached_ms: float
    speedup: float
    engine_overhead: float
    macs_share_paper: float
    macs_share_full: float
    kept: float
    repeats: int
    plan: str
    model: str
    control: str
    sampler: str
    steps: int
    seed: int
    device: str
    dtype: str


@on_worker
def measure_speed(studio: Studio, request: Request, repeats: int) -> Speed:
    """Three arms in turn, `repeats` times after a warm-up; the whole call, decoding included, text encoded before."""
    plan, anatomy = studio.plan(request), studio.anatomy()
    whole = schedules.full(anatomy, request.steps)
    pipe, call = studio.loaded.pipeline(request.control, request.sampler), studio.call(request)

    def under(chosen: Plan) -> None:
        with cached(pipe, chosen):
            plain()

    def plain() -> None:
        pipe(**call).images.cpu()  # waits for the device

    arms = (plain, lambda: under(whole), lambda: under(plan))
    rounds = [[_ms(arm) for arm in arms] for _ in range(WARM_UPS + repeats)][WARM_UPS:]
    guided = request.guidance > 1
    macs, macs_whole = plan_macs(plan, anatomy, guidance=guided), plan_macs(whole, anatomy, guidance=guided)
    speedup = median(plain / fast for plain, _, fast in rounds)
    return Speed(
        plain_ms=median(plain for plain, _, _ in rounds),
        full_ms=median(full for _, full, _ in rounds),
        cached_ms=median(fast for _, _, fast in rounds),
        speedup=speedup,
        engine_overhead=median(full / plain for plain, full, _ in rounds) - 1,
        macs_share_paper=macs.paper / macs_whole.paper,
        macs_share_full=macs.full / macs_whole.full,
        kept=speedup * macs.paper / macs_whole.paper,
        repeats=repeats,
        plan=plan.name,
        model=studio.model,
        control=request.control,
        sampler=request.sampler,
        steps=request.steps,
        seed=request.seed,
        device=studio.device,
        dtype=studio.dtype,
    )


def _ms(arm: Callable[[], Any]) -> float:
    begun = perf_counter()
    arm()
    return (perf_counter() - begun) * 1e3


def as_text(speed: Speed) -> str:
    return "\n".join(
        [
            f"plain pipeline {speed.plain_ms:.0f} ms, engine computing everything {speed.full_ms:.0f} ms "
            f"({speed.engine_overhead:+.1%}), cached {speed.cached_ms:.0f} ms",
            f"{speed.speedup:.2f} times as fast at {speed.macs_share_paper:.1%} of the MACs (paper), "
            f"{speed.macs_share_full:.1%} (full): {speed.kept:.0%} of the saving arrives as time",
            f"median of {speed.repeats} rounds, warm; {speed.model}, {speed.control}, {speed.sampler}, "
            f"{speed.steps} steps, seed {speed.seed}, {speed.device}, {speed.dtype}",
        ]
    )


def as_json(speed: Speed) -> dict[str, Any]:
    return asdict(speed)
