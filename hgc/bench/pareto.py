"""Methods x budgets x solvers on scenes and drawings that no plan was made from: cost against fidelity.

Beside them stands the null band: how like the full picture are others that are no worse, which differ by their noise or
by more steps. What lies within it means little.

python -m hgc bench pareto --out runs/pareto.json                # resumes
python -m hgc bench pareto --scenes 1 --budget 0.5 --long 0      # a minute
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from threading import Event
from time import perf_counter
from typing import Any

import torch

from hgc.bench.points import FULL, HGC_PARTS, NULL_STEPS, OTHER_SEED, Ledger, Point, Rows, Shown, in_steps, points
from hgc.bench.setup import BenchRefused
from hgc.cache import schedules
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.metrics import psnr
from hgc.planning import Task
from hgc.planning.methods import METHODS
from hgc.request import Request
from hgc.results.comparison import Cancelled, Pixels
from hgc.spread.desk import Desk
from hgc.spread.here import place_of
from hgc.spread.pace import Pace
from hgc.spread.together import in_order, together
from hgc.spread.work import WorkLost
from hgc.studio.comparing import pixels_of
from hgc.studio.control_map import decoded
from hgc.studio.judge import Judge
from hgc.studio.scenes import together as together_in_a_call
from hgc.studio.studio import Studio
from hgc.studio.worker import WORKER

CEILING_DB = 99.0  # identical pictures have no PSNR, and means need one
OTHER_NOISE = 500_000_000  # added to a seed; no bench has a scene of that number

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """The methods and budgets that are compared; `long` is the number of steps of the second reference, 0 for none.

    The first `alone` pictures are drawn one in a call, the others `batch` together. Of the first `null` pictures the
    null band is drawn too: with other noise, and in each number of `null_steps`.
    With `parts` each of HGC's two caches is drawn by itself too, with the settings that both have together.
    """

    methods: tuple[str, ...]
    budgets: tuple[float, ...]
    batch: int = 4
    alone: int = 3
    long: int = 100
    null: int = 0
    null_steps: tuple[int, ...] = NULL_STEPS
    parts: bool = False

    def __post_init__(self) -> None:
        bounds = (("batch", self.batch, 1), ("alone", self.alone, 0), ("long", self.long, 0), ("null", self.null, 0))
        for name, value, least in (*bounds, *(("null-steps", steps, 1) for steps in self.null_steps)):
            if value < least:
                raise BenchRefused(f"--{name} {value}: choose {least} or more")

    def groups(self, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
        """Requests that are drawn in one call."""
        yield from ([request] for request in requests[: self.alone])
        for start in range(self.alone, len(requests), self.batch):
            yield requests[start : start + self.batch]


@dataclass(frozen=True)
class Entry:
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


def compare(studio: Studio, setup: Setup, requests: Sequence[Request], ledger: Ledger, tell: Tell) -> list[Point]:
    """All methods on these requests, which share control, sampler and settings; one point a method and budget.

    Drawn wherever the studio's runs are done. Raises BenchRefused where a picture could not be had.
    """
    first, place = requests[0], place_of(studio)
    task = Task(first, studio.blueprint)
    # The fine cache alone is the same plan at every budget.
    entered = list({(entry.method, entry.budget): entry for entry in entries(studio, setup, task, tell)}.values())
    pages = pages_of(setup, requests, entered, ledger)
    missing = [page.drawing(number, setup.long) for number, page in enumerate(pages) if page.missing]
    pace = Pace(place, sum(len(drawing.missing) * len(drawing.requests) for drawing in missing))
    for drawing, news in together(place, in_order(missing), Event()):
        if isinstance(news, WorkLost):
            raise BenchRefused(f"pictures of {first.control} are missing: {news}; the same command goes on from here")
        if isinstance(news, Drawn):
            pages[drawing.page].add(news)
            rate = pace.after(len(news.shown))
            if not pages[drawing.page].missing:
                there = sum(len(page.group) for page in pages if not page.missing)
                tell(f"{first.control}, {first.sampler}: {there} of {len(requests)} pictures; {rate}")
    shown = [[one for page in pages for one in page.shown.get(i, ())] for i in range(len(entered))]
    rows = [Rows(e.method, e.budget, task.cost(e.plan), row) for e, row in zip(entered, shown, strict=True)]
    return points(first.control, first.sampler, rows)


def entries(studio: Studio, setup: Setup, task: Task, tell: Tell) -> Iterator[Entry]:
    """The full run first; what a method cannot do is told."""
    yield Entry(FULL, 1.0, schedules.full(task.anatomy, task.steps))
    for budget in setup.budgets:
        for name in setup.methods:
            try:
                plan = studio.plan(task.recipe.but(method=name, budget=budget))
                studio.adjustment(plan, task.recipe)  # that there is one
                yield Entry(name, budget, plan)
            except (PlanRefused, CalibrationRefused) as error:
                tell(f"left out: {task.recipe.control}, {METHODS[name].title} at {budget:.1%}: {error}")
        if setup.parts:
            yield from _parts(studio, task, budget)
    if setup.null:
        yield Entry(OTHER_SEED, 1.0, schedules.full(task.anatomy, task.steps), True, setup.null)
        for steps in setup.null_steps:
            plan = schedules.full(task.anatomy, steps)
            yield Entry(in_steps(steps), steps / task.steps, plan, pictures=setup.null)


def _parts(studio: Studio, task: Task, budget: float) -> Iterator[Entry]:
    """HGC's caches, each alone, at what they cost then."""
    both = studio.settings(task.recipe.but(method="hgc", budget=budget))
    for part, name in HGC_PARTS.items():
        settings = replace(both, coarse=part == "coarse", fine=part == "fine")
        plan = studio.plan(task.recipe.but(method="hgc", budget=None, cache=settings))
        yield Entry(name, round(task.share(plan), 4), plan)


def pages_of(setup: Setup, requests: Sequence[Request], entered: Sequence[Entry], ledger: Ledger) -> list[Page]:
    """The calls in which everything is drawn; a call whose pictures are not all of the null band has none of it."""
    pages, first = list[Page](), 0
    for group in setup.groups(requests):
        last = first + len(group)
        drawn = {i: entry for i, entry in enumerate(entered) if entry.pictures is None or last <= entry.pictures}
        pages.append(Page(group, drawn, ledger))
        first = last
    return pages


class Page:
    """The pictures of one call's requests by every entry that is drawn of them, as far as they are there."""

    def __init__(self, group: Sequence[Request], entered: Mapping[int, Entry], ledger: Ledger) -> None:
        self.group, self._entered, self._ledger = group, entered, ledger
        self.shown = {i: self._known(entry) for i, entry in entered.items()}

    def _known(self, entry: Entry) -> list[Shown]:
        known = [self._ledger.known(entry.noised(one), entry.plan, len(self.group)) for one in self.group]
        return [shown for shown in known if shown is not None]

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(i for i, row in self.shown.items() if len(row) < len(self.group))

    def drawing(self, number: int, long: int) -> Drawing:
        """The missing pictures as a task."""
        requests = tuple(request.model_dump_json() for request in self.group)
        missing = {i: self._entered[i] for i in self.missing}
        return Drawing(number, requests, self._entered[0].plan, missing, long)

    def add(self, drawn: Drawn) -> None:
        self.shown[drawn.entry], entry = list(drawn.shown), self._entered[drawn.entry]
        for request, shown in zip(self.group, drawn.shown, strict=True):
            self._ledger.add(entry.noised(request), entry.plan, shown)


@dataclass(frozen=True)
class Drawn:
    """The pictures of a call's requests by one entry."""

    entry: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Drawing:
    """Requests, as JSON, drawn in one call by `whole`, the full run's plan, and by the entries that are missing."""

    page: int
    requests: tuple[str, ...]
    whole: Plan
    missing: Mapping[int, Entry]
    long: int

    def do(self, desk: Desk, stop: Event) -> Iterator[Drawn]:
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

    def drawn(self, asked: Drawing) -> Iterator[Drawn]:
        call = self._call(self.group)
        self._run(schedules.full(self.studio.anatomy(), 1), call)  # warms up
        whole = self._run(asked.whole, call)
        long = self._run(schedules.full(self.studio.anatomy(), asked.long), call)[0] if asked.long else []
        for i, entry in asked.missing.items():
            noised = self._call([entry.noised(one) for one in self.group]) if entry.other_noise else call
            images, latency_ms = whole if entry.method == FULL else self._run(entry.plan, noised)
            yield Drawn(i, tuple(self._judged(images, latency_ms, whole[0], long)))

    def _call(self, requests: Sequence[Request]) -> Mapping[str, Any]:
        return together_in_a_call([self.studio.call(request) for request in requests])

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
