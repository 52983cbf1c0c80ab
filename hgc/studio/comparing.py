"""A comparison in the making: every arm's picture on the same noise, previews on the way, scores at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from hgc import planning
from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.running.engine import cached
from hgc.cache.trace import Trace
from hgc.judges.table import title_of
from hgc.planning.task import at_steps
from hgc.request import ArmName, Request
from hgc.results.comparison import Arm, Cancelled, Comparison, Pixels, Progress
from hgc.results.forecast import Forecast
from hgc.studio.arm_cache import ArmCache
from hgc.studio.call import noise_of, stepping
from hgc.studio.control_map import decoded
from hgc.studio.cores import take_free_cores
from hgc.studio.preview import Previews, lane_of, pixels

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

Tell = Callable[[Progress], None]
Stopped = Callable[[], bool]


def compared(
    studio: Studio, request: Request, forecast: Forecast, drawn: ArmCache | None, tell: Tell, stopped: Stopped
) -> Comparison:
    """The arms one after the other, by the forecast's plans; those that `drawn` has are taken from it.

    Raises Cancelled at the next step once it is `stopped`.
    """
    if studio.loaded.device.type == "cpu":
        take_free_cores()  # once, so that all arms are computed alike
    drawing = _Drawing(studio, request, studio.call(request), drawn, tell, stopped)
    if stopped():
        raise Cancelled("stopped before the first step")
    third = request.rival is not None
    full = drawing.arm("full", schedules.full(studio.anatomy(request), request.steps), 2 + third)
    kept = drawing.arm("cached", forecast.plan, 1 + third)
    studio.note_timing(request, full, kept)
    other = _rival_plan(studio, request, forecast, kept.trace.macs.paper / full.trace.macs.paper)
    rival = None if other is None else drawing.arm("rival", other, 1)
    arms = [arm for arm in (full, kept, rival) if arm is not None]
    noise = noise_of(studio.loaded, request).float().cpu().numpy().tobytes()
    return Comparison(
        request=request,
        full=full,
        cached=kept,
        likeness={arm.name: studio.judge.likeness(full.image, arm.image) for arm in arms[1:]},
        digest=sha256(noise + request.picture_digest.encode()).hexdigest()[:12],
        score_name=title_of(request.control),
        notes=(
            *studio.check_prompt(request.prompt),
            *studio.judge.notes(request.control),
            *forecast.plan.origin.notes(),
            *(() if other is None else other.origin.notes("The rival's plan")),
            *_replay_notes(arm.trace for arm in arms),
        ),
        made=studio.made(request),
        rival=rival,
    )


def _rival_plan(studio: Studio, request: Request, forecast: Forecast, share: float) -> Plan | None:
    """The third arm's plan, if there is one, at the cost of the second.

    Where steps were decided while running, the cost that the rival has to match is known only now.
    """
    beside = planning.rival_of(request, share)
    if beside is None or (forecast.rival is not None and share == forecast.share):
        return forecast.rival
    return studio.plan(beside)


@dataclass(frozen=True)
class _Drawing:
    """One request's arms: the same noise and map, a scheduler and a number of steps for each."""

    studio: Studio
    request: Request
    call: Mapping[str, Any]
    drawn: ArmCache | None
    tell: Tell
    stopped: Stopped

    def arm(self, name: ArmName, plan: Plan, arms_left: int) -> Arm:
        """As drawn before, or drawn now."""
        if self.drawn is None:
            return self._arm(name, plan, arms_left)
        own = at_steps(self.request, plan.steps)
        arm = self.drawn.find(name, own, plan) or self._arm(name, plan, arms_left)
        self.drawn.keep(own, plan, arm)
        return arm

    def _arm(self, name: ArmName, plan: Plan, arms_left: int) -> Arm:
        """One picture in as many steps as its plan has, of the same scheduler, on the same noise and map."""
        studio, request = self.studio, self.request
        pipe = studio.loaded_for(request).pipeline(request.controls, request.sampler, request.task)
        steps = plan.steps
        adjustment = studio.adjustment(plan, request)
        width, height = request.size or studio.size
        begun, aside_s = perf_counter(), 0.0
        previews: list[Pixels] = []
        coming = Previews(studio.preview, lane_of(studio.loaded.device))

        def tell_of(small: torch.Tensor) -> None:
            previews.append(pixels(small, (small.shape[-2], small.shape[-1])))
            done, spent = len(previews), perf_counter() - begun
            eta = spent / done * (steps * arms_left - done)
            self.tell(Progress(name, done, steps, pixels(small, (height, width)), eta))

        def after_step(_pipe: Any, step: int, _time: Any, state: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal aside_s
            called = perf_counter()
            if self.stopped():
                raise Cancelled(f"stopped after step {step + 1} of {steps} of the {name} arm")
            coming.take(state["latents"])
            for small in coming.ready():
                tell_of(small)
            aside_s += perf_counter() - called
            return {}

        # On a CPU a clock is read in no time; on an accelerator two events a site would be most of a step's launches.
        timed = studio.loaded.device.type == "cpu"
        with cached(pipe, plan, adjustment=adjustment, timed=timed, graphs=studio.recordings or False) as run:
            out = pipe(**{**self.call, **stepping(request, steps)}, callback_on_step_end=after_step)
            image = pixels_of(out.images)
        latency_ms = (perf_counter() - begun - aside_s) * 1e3
        for small in coming.rest():
            tell_of(small)
        score = studio.judge.score(image, decoded(request.control_png), request.control)
        return Arm(name, image, run.trace, latency_ms, sum(run.trace.step_ms), score, tuple(previews))


def _replay_notes(traces: Iterable[Trace]) -> tuple[str, ...]:
    """The notes on recordings, once for all arms."""
    notes = [note for trace in traces if trace.replays is not None for note in trace.replays.notes]
    return tuple(f"Recorded steps: {note}." for note in dict.fromkeys(notes))


def pixels_of(images: torch.Tensor) -> Pixels:
    """The first of a pipeline's images [B, 3, H, W] in 0..1, as uint8 [H, W, 3]."""
    return (images[0].float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
