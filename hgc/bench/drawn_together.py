"""Requests that one call draws by several plans, on any worker: pictures timed, and judged against the full run's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Event
from time import perf_counter
from typing import Any

import torch

from hgc.bench.points import FULL, PlanPicture
from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.running.engine import cached
from hgc.metrics import psnr
from hgc.request import Request
from hgc.results.comparison import Cancelled, Pixels
from hgc.spread.desk import Desk
from hgc.studio.comparing import pixels_of
from hgc.studio.control_map import decoded
from hgc.studio.judge import Judge
from hgc.studio.scenes import together
from hgc.studio.studio import Studio
from hgc.studio.worker import WORKER

CEILING_DB = 99.0  # identical pictures have no PSNR, and means need one
OTHER_NOISE = 500_000_000  # added to a seed; no bench has a scene of that number


@dataclass(frozen=True)
class MethodPlan:
    """A method at a budget, and the plan that it makes of it; drawn of the first `pictures`, None for all of them.

    With `other_noise` each picture begins from noise that is not the full run's.
    """

    method: str
    budget: float
    plan: Plan
    other_noise: bool = False
    pictures: int | None = None

    def noised(self, request: Request) -> Request:
        """The request as this draws it."""
        return request.but(seed=request.seed + OTHER_NOISE) if self.other_noise else request


@dataclass(frozen=True)
class CallPictures:
    """The pictures of a call's requests by one entry."""

    entry: int
    shown: tuple[PlanPicture, ...]


@dataclass(frozen=True)
class CallTask:
    """Requests, as JSON, drawn in one call by `whole`, the full run's plan, and by the entries that are missing."""

    page: int
    requests: tuple[str, ...]
    whole: Plan
    missing: Mapping[int, MethodPlan]
    long: int

    def do(self, desk: Desk, stop: Event) -> Iterator[CallPictures]:
        """The pictures of each plan."""
        group = [Request.model_validate_json(request) for request in self.requests]
        drawn = _Group(desk.studio, Judge.of(desk.studio.loaded.preset), group).drawn(self)
        for news in WORKER.each(drawn):
            yield news
            if stop.is_set():
                raise Cancelled("stopped between two plans")


@dataclass
class _Group:
    """Requests that one call draws, on a loaded model."""

    studio: Studio
    judge: Judge
    group: Sequence[Request]

    def drawn(self, asked: CallTask) -> Iterator[CallPictures]:
        call = self._call(self.group)
        self._run(schedules.full(self.studio.anatomy(), 1), call)  # warms up
        whole = self._run(asked.whole, call)
        long = self._run(schedules.full(self.studio.anatomy(), asked.long), call)[0] if asked.long else []
        for i, entry in asked.missing.items():
            noised = self._call([entry.noised(one) for one in self.group]) if entry.other_noise else call
            images, latency_ms = whole if entry.method == FULL else self._run(entry.plan, noised)
            yield CallPictures(i, tuple(self._judged(images, latency_ms, whole[0], long)))

    def _call(self, requests: Sequence[Request]) -> Mapping[str, Any]:
        return together([self.studio.call(request) for request in requests])

    def _run(self, plan: Plan, call: Mapping[str, Any]) -> tuple[list[Pixels], float]:
        """The pictures, and the time of the whole call for one; what keeps nothing is the plain pipeline."""
        request = self.group[0]
        adjustment = self.studio.adjustment(plan, request)
        pipe, begun = self.studio.loaded.pipeline(request.control, request.sampler), perf_counter()
        with cached(pipe, plan, adjustment=adjustment) if plan.table else nullcontext():
            images = pipe(**{**call, "num_inference_steps": plan.steps}).images
            pictures = [pixels_of(images[i : i + 1]) for i in range(len(images))]  # waits for the device
        return pictures, (perf_counter() - begun) * 1e3 / len(pictures)

    def _judged(
        self, images: Sequence[Pixels], latency_ms: float, whole: Sequence[Pixels], long: Sequence[Pixels]
    ) -> list[PlanPicture]:
        return [
            self._shown(request, image, latency_ms, whole[i], long[i] if long else None)
            for i, (request, image) in enumerate(zip(self.group, images, strict=True))
        ]

    def _shown(
        self, request: Request, image: Pixels, latency_ms: float, whole: Pixels, long: Pixels | None
    ) -> PlanPicture:
        alike, control = self.judge.likeness(whole, image), decoded(request.control_png)
        return PlanPicture(
            seed=request.seed,
            psnr=min(alike.psnr, CEILING_DB),
            ssim=alike.ssim,
            perceptual=alike.perceptual,
            psnr_long=None if long is None else min(psnr(long, image), CEILING_DB),
            control_score=self.judge.score(image, control, request.control),
            overlaps=self.judge.overlaps(image, control, request.control),
            latency_ms=latency_ms,
            together=len(self.group),
            threads=torch.get_num_threads(),
        )
