"""Warm wall time of the plain pipeline, of the engine computing everything, and of a cached plan, recorded or not.

The arms are taken in turn, forwards and backwards, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

import torch

from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.recording.rows import Recordings
from hgc.cache.running.engine import cached
from hgc.calibration.lines import Adjustment
from hgc.planning import Task
from hgc.request import Request
from hgc.studio.scenes import together
from hgc.studio.studio import Studio
from hgc.studio.worker import on_worker

WARM_UPS = 1


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' own ratios, and the lowest and the highest of these."""

    median: float
    low: float
    high: float

    @classmethod
    def over(cls, rounds: Sequence[_Round], of: Callable[[_Round], float]) -> Ratio:
        values = [of(one) for one in rounds]
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f} to {self.high:.3f}]"


@dataclass(frozen=True)
class Speed:
    """Medians over `repeats` rounds of `batch` pictures; `speedup` is that of plain over cached within each round.

    `kept` is how much of what the MACs promise (full convention: attention products take time too) arrives as time:
    speedup times the share of MACs; `kept_denoising` is the same of the time inside the denoiser alone. `outside_ms` is
    the cached run's time outside of it, decoding for the most part. `engine` is the engine computing everything over
    the plain pipeline, and `engine_step` the same of the median steps, without moments in which another program had the
    cores. `recorded` is the cached plan with recordings over the same without; on a device that records nothing, what
    asking for them costs.
    """

    plain_ms: float
    full_ms: float
    cached_ms: float
    recorded_ms: float
    speedup: Ratio
    engine: Ratio
    engine_step: Ratio
    recorded: Ratio
    recorded_notes: tuple[str, ...]
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
def measure_speed(
    studio: Studio, requests: Sequence[Request], repeats: int, heard: Callable[[str], None] = lambda _: None
) -> Speed:
    """Four arms in turn, `repeats` times after a warm-up; the whole call, decoding included, text encoded before.

    The requests differ in prompt, map and noise alone, and are drawn in one call. `heard` is told of every round.
    """
    request, task = requests[0], Task(requests[0], studio.blueprint)
    plan, bench = studio.plan(request), _Bench(studio, requests)
    rounds = []
    for number in range(WARM_UPS + repeats):
        heard(f"round {number + 1} of {WARM_UPS + repeats}")
        rounds.append(bench.round(number % 2 == 1))
    counted = rounds[WARM_UPS:]
    speedup, share = (
        Ratio.over(counted, lambda one: one.plain.ms / one.cached.ms),
        task.cost(plan).full / task.whole.full,
    )
    return Speed(
        plain_ms=median(one.plain.ms for one in counted),
        full_ms=median(one.full.ms for one in counted),
        cached_ms=median(one.cached.ms for one in counted),
        recorded_ms=median(one.recorded.ms for one in counted),
        speedup=speedup,
        engine=Ratio.over(counted, lambda one: one.full.ms / one.plain.ms),
        engine_step=Ratio.over(counted, lambda one: one.full.step_ms / one.plain.step_ms),
        recorded=Ratio.over(counted, lambda one: one.recorded.ms / one.cached.ms),
        recorded_notes=tuple(bench.notes),
        macs_share_paper=task.share(plan),
        macs_share_full=share,
        kept=speedup.median * share,
        kept_denoising=share * median(one.full.inside_ms / one.cached.inside_ms for one in counted),
        outside_ms=median(one.cached.ms - one.cached.inside_ms for one in counted),
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
class _Arm:
    """Milliseconds of one call, of its median step, and inside the denoiser."""

    ms: float
    step_ms: float
    inside_ms: float = 0.0


@dataclass(frozen=True)
class _Round:
    """Each arm once."""

    plain: _Arm
    full: _Arm
    cached: _Arm
    recorded: _Arm


class _Bench:
    """The same call in four arms."""

    def __init__(self, studio: Studio, requests: Sequence[Request]) -> None:
        request = requests[0]
        self.notes: dict[str, None] = {}
        self._steps, self._plan = request.steps, studio.plan(request)
        self._whole = schedules.full(Task(request, studio.blueprint).anatomy, request.steps)
        self._pipe = studio.loaded.pipeline(request.control, request.sampler)
        self._call = together([studio.call(one) for one in requests])
        self._adjustment, self._recordings = studio.adjustment(self._plan, request), Recordings()

    def round(self, forwards: bool) -> _Round:
        arms: dict[str, Callable[[], _Arm]] = {
            "plain": lambda: self._plain(self._steps),
            "full": lambda: self._under(self._whole),
            "cached": lambda: self._under(self._plan, self._adjustment),
            "recorded": lambda: self._under(self._plan, self._adjustment, self._recordings),
        }
        return _Round(**{name: arms[name]() for name in (arms if forwards else reversed(arms))})

    def _under(self, plan: Plan, adjustment: Adjustment | None = None, graphs: Recordings | bool = False) -> _Arm:
        begun = perf_counter()
        with cached(self._pipe, plan, adjustment=adjustment, graphs=graphs) as run:
            arm = self._plain(plan.steps)
        if run.trace.replays is not None:
            self.notes.update(dict.fromkeys(run.trace.replays.notes))
        return _Arm((perf_counter() - begun) * 1e3, arm.step_ms, sum(run.trace.step_ms))

    def _plain(self, steps: int) -> _Arm:
        ends = [perf_counter()]

        def ended(*_: Any) -> dict[str, Any]:
            ends.append(perf_counter())
            return {}

        call = {**self._call, "num_inference_steps": steps, "callback_on_step_end": ended}
        self._pipe(**call).images.cpu()  # waits for the device
        return _Arm((perf_counter() - ends[0]) * 1e3, median((end - start) * 1e3 for start, end in pairwise(ends)))


def text(speed: Speed) -> str:
    notes = f": {'; '.join(speed.recorded_notes)}" if speed.recorded_notes else ""
    return "\n".join(
        [
            f"plain pipeline {speed.plain_ms:.0f} ms, engine computing everything {speed.full_ms:.0f} ms "
            f"({speed.engine} times as long; the median step {speed.engine_step}), cached {speed.cached_ms:.0f} ms",
            f"{speed.speedup} times as fast at {speed.macs_share_paper:.1%} of the MACs (paper), "
            f"{speed.macs_share_full:.1%} (full): {speed.kept:.0%} of what these promise arrives as time, "
            f"{speed.kept_denoising:.0%} inside the denoiser; {speed.outside_ms:.0f} ms outside of it",
            f"cached with recordings {speed.recorded_ms:.0f} ms, {speed.recorded} times as long as without{notes}",
            f"median of {speed.repeats} rounds [lowest to highest], warm; {speed.plan}; {speed.model}, "
            f"{speed.control}, {speed.sampler}, {speed.steps} steps, batch {speed.batch}, seed {speed.seed}, "
            f"{speed.device}, {speed.dtype}, {speed.threads} threads",
        ]
    )
