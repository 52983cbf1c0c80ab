"""Warm wall time of the plain pipeline, of the engine computing everything, and of a cached plan, taken in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

import torch

from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.running.engine import cached
from hgc.calibration.lines import Adjustment
from hgc.planning import Task
from hgc.request import Request
from hgc.studio.scenes import together
from hgc.studio.studio import Studio
from hgc.studio.worker import on_worker

WARM_UPS = 1
T = TypeVar("T")


@dataclass(frozen=True)
class Speed:
    """Medians over `repeats` rounds of `batch` pictures; `speedup` is that of plain over cached within each round.

    `kept` is how much of what the MACs promise (full convention: attention products take time too) arrives as time:
    speedup times the share of MACs; `kept_denoising` is the same of the time inside the denoiser alone. `outside_ms` is
    the cached run's time outside of it, decoding for the most part.
    """

    plain_ms: float
    full_ms: float
    cached_ms: float
    speedup: float
    engine_overhead: float
    macs_share_paper: float
    macs_share_full: float
    kept: float
    kept_denoising: float
    outside_ms: float
    batch: int
    repeats: int
    threads: int
    plan: str
    model: str
    control: str
    sampler: str
    steps: int
    seed: int
    device: str
    dtype: str


@on_worker
def measure_speed(studio: Studio, requests: Sequence[Request], repeats: int) -> Speed:
    """Three arms in turn, `repeats` times after a warm-up; the whole call, decoding included, text encoded before.

    The requests differ in prompt, map and noise alone, and are drawn in one call.
    """
    request, task = requests[0], Task(requests[0], studio.blueprint)
    plan, whole = studio.plan(request), schedules.full(task.anatomy, request.steps)
    pipe = studio.loaded.pipeline(request.control, request.sampler)
    call, adjustment = together([studio.call(one) for one in requests]), studio.adjustment(plan, request)

    def under(chosen: Plan, adjustment: Adjustment | None = None) -> float:
        with cached(pipe, chosen, adjustment=adjustment) as run:
            plain(chosen.steps)
        return sum(run.trace.step_ms)

    def plain(steps: int = request.steps) -> None:
        pipe(**{**call, "num_inference_steps": steps}).images.cpu()  # waits for the device

    def round_of_all() -> _Round:
        plain_ms, _ = _clocked(plain)
        full_ms, full_inside_ms = _clocked(lambda: under(whole))
        cached_ms, cached_inside_ms = _clocked(lambda: under(plan, adjustment))
        return _Round(plain_ms, full_ms, cached_ms, full_inside_ms, cached_inside_ms)

    rounds = [round_of_all() for _ in range(WARM_UPS + repeats)][WARM_UPS:]
    share, speedup = task.cost(plan).full / task.whole.full, median(one.plain_ms / one.cached_ms for one in rounds)
    return Speed(
        plain_ms=median(one.plain_ms for one in rounds),
        full_ms=median(one.full_ms for one in rounds),
        cached_ms=median(one.cached_ms for one in rounds),
        speedup=speedup,
        engine_overhead=median(one.full_ms / one.plain_ms for one in rounds) - 1,
        macs_share_paper=task.share(plan),
        macs_share_full=share,
        kept=speedup * share,
        kept_denoising=share * median(one.full_inside_ms / one.cached_inside_ms for one in rounds),
        outside_ms=median(one.cached_ms - one.cached_inside_ms for one in rounds),
        batch=len(requests),
        repeats=repeats,
        threads=torch.get_num_threads(),
        plan=plan.name,
        model=studio.model,
        control=request.control,
        sampler=request.sampler,
        steps=request.steps,
        seed=request.seed,
        device=studio.device,
        dtype=studio.dtype,
    )


@dataclass(frozen=True)
class _Round:
    """Milliseconds of each arm once, and of these inside the denoiser."""

    plain_ms: float
    full_ms: float
    cached_ms: float
    full_inside_ms: float
    cached_inside_ms: float


def _clocked(arm: Callable[[], T]) -> tuple[float, T]:
    begun = perf_counter()
    result = arm()
    return (perf_counter() - begun) * 1e3, result


def text(speed: Speed) -> str:
    return "\n".join(
        [
            f"plain pipeline {speed.plain_ms:.0f} ms, engine computing everything {speed.full_ms:.0f} ms "
            f"({speed.engine_overhead:+.1%}), cached {speed.cached_ms:.0f} ms",
            f"{speed.speedup:.2f} times as fast at {speed.macs_share_paper:.1%} of the MACs (paper), "
            f"{speed.macs_share_full:.1%} (full): {speed.kept:.0%} of what these promise arrives as time, "
            f"{speed.kept_denoising:.0%} inside the denoiser; {speed.outside_ms:.0f} ms outside of it",
            f"median of {speed.repeats} rounds, warm; {speed.plan}; {speed.model}, {speed.control}, {speed.sampler}, "
            f"{speed.steps} steps, batch {speed.batch}, seed {speed.seed}, {speed.device}, {speed.dtype}, "
            f"{speed.threads} threads",
        ]
    )
