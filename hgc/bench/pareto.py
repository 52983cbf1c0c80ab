"""Methods x budgets x solvers on scenes and drawings that no plan was made from: cost against fidelity.

python -m hgc bench pareto --out runs/pareto.json                # resumes
python -m hgc bench pareto --scenes 1 --budget 0.5 --long 0      # a minute
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from hgc.bench.points import FULL, Ledger, Point, Rows, Shown, points
from hgc.bench.setup import BenchRefused
from hgc.cache import schedules
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.calibration.lines import Adjustment
from hgc.metrics import psnr
from hgc.planning import Task
from hgc.planning.methods import METHODS
from hgc.request import Request
from hgc.results.comparison import Pixels
from hgc.studio.control_map import decoded
from hgc.studio.judge import Judge
from hgc.studio.scenes import together
from hgc.studio.studio import Studio, pixels_of
from hgc.studio.worker import on_worker

CEILING_DB = 99.0  # identical pictures have no PSNR, and means need one

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """The methods and budgets that are compared; `long` is the number of steps of the second reference, 0 for none.

    The first `alone` pictures are drawn one in a call, the others `batch` together.
    """

    methods: tuple[str, ...]
    budgets: tuple[float, ...]
    batch: int = 4
    alone: int = 3
    long: int = 100

    def __post_init__(self) -> None:
        for name, value, least in (("batch", self.batch, 1), ("alone", self.alone, 0), ("long", self.long, 0)):
            if value < least:
                raise BenchRefused(f"--{name} {value}: choose {least} or more")

    def groups(self, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
        """Requests that are drawn in one call."""
        yield from ([request] for request in requests[: self.alone])
        for start in range(self.alone, len(requests), self.batch):
            yield requests[start : start + self.batch]


@dataclass(frozen=True)
class Entry:
    """A method at a budget, and the plan that it makes of it."""

    method: str
    budget: float
    plan: Plan
    adjustment: Adjustment | None = None


@on_worker
def compare(studio: Studio, setup: Setup, requests: Sequence[Request], ledger: Ledger, tell: Tell) -> list[Point]:
    """All methods on these requests, which share control, sampler and settings; one point a method and budget."""
    first = requests[0]
    task = Task(first, studio.blueprint)
    entered = list(entries(studio, setup, task, tell))
    judge, shown = Judge.of(studio.loaded.preset), [list[Shown]() for _ in entered]
    for group in setup.groups(requests):
        for row, drawn in zip(shown, _Drawing(studio, judge, setup, ledger, entered, group).all(), strict=True):
            row += drawn
        tell(f"{first.control}, {first.sampler}: {len(shown[0])} of {len(requests)} pictures")
    rows = [Rows(e.method, e.budget, task.cost(e.plan), row) for e, row in zip(entered, shown, strict=True)]
    return points(first.control, first.sampler, rows)


def entries(studio: Studio, setup: Setup, task: Task, tell: Tell) -> Iterator[Entry]:
    """The full run first; what a method cannot do is told."""
    yield Entry(FULL, 1.0, schedules.full(task.anatomy, task.steps))
    for budget in setup.budgets:
        for name in setup.methods:
            try:
                plan = studio.plan(task.recipe.but(method=name, budget=budget))
                yield Entry(name, budget, plan, studio.adjustment(plan, task.recipe))
            except (PlanRefused, CalibrationRefused) as error:
                tell(f"left out: {task.recipe.control}, {METHODS[name].title} at {budget:.1%}: {error}")


@dataclass
class _Drawing:
    """The pictures of one call's requests by every entry; references are only drawn where something is missing."""

    studio: Studio
    judge: Judge
    setup: Setup
    ledger: Ledger
    entries: Sequence[Entry]
    group: Sequence[Request]

    def all(self) -> list[list[Shown]]:
        known = [[self.ledger.known(request, e.plan, len(self.group)) for request in self.group] for e in self.entries]
        pictures = [[shown for shown in row if shown is not None] for row in known]
        missing = [i for i, row in enumerate(pictures) if len(row) < len(self.group)]
        if not missing:
            return pictures
        call = together([self.studio.call(request) for request in self.group])
        self._run(Entry("warm-up", 1.0, schedules.full(self.studio.anatomy(), 1)), call)
        whole = self._run(self.entries[0], call)
        long = self._long(call)
        for i in missing:
            images, latency_ms = whole if i == 0 else self._run(self.entries[i], call)
            pictures[i] = self._judged(images, latency_ms, whole[0], long)
            for request, shown in zip(self.group, pictures[i], strict=True):
                self.ledger.add(request, self.entries[i].plan, shown)
        return pictures

    def _long(self, call: Mapping[str, Any]) -> list[Pixels]:
        if not self.setup.long:
            return []
        return self._run(Entry("long", 1.0, schedules.full(self.studio.anatomy(), self.setup.long)), call)[0]

    def _run(self, entry: Entry, call: Mapping[str, Any]) -> tuple[list[Pixels], float]:
        """The pictures, and the time of the whole call for one; what keeps nothing is the plain pipeline."""
        request, plan = self.group[0], entry.plan
        pipe, begun = self.studio.loaded.pipeline(request.control, request.sampler), perf_counter()
        with cached(pipe, plan, adjustment=entry.adjustment) if plan.table else nullcontext():
            images = pipe(**{**call, "num_inference_steps": plan.steps}).images
            pictures = [pixels_of(images[i : i + 1]) for i in range(len(images))]  # waits for the device
        return pictures, (perf_counter() - begun) * 1e3 / len(pictures)

    def _judged(
        self, images: Sequence[Pixels], latency_ms: float, whole: Sequence[Pixels], long: Sequence[Pixels]
    ) -> list[Shown]:
        return [
            self._shown(request, image, latency_ms, whole[i], long[i] if long else None)
            for i, (request, image) in enumerate(zip(self.group, images, strict=True))
        ]

    def _shown(self, request: Request, image: Pixels, latency_ms: float, whole: Pixels, long: Pixels | None) -> Shown:
        alike, control = self.judge.likeness(whole, image), decoded(request.control_png)
        return Shown(
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
