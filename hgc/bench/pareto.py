"""Methods x budgets x solvers on scenes and drawings that no plan was made from: cost against fidelity.

Beside them stands the null band: how like the full picture are others that are no worse, which differ by their noise or
by more steps. What lies within it means little.

python -m hgc bench pareto --out runs/pareto.json                # resumes
python -m hgc bench pareto --scenes 1 --budget 0.5 --long 0      # a minute
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event

from hgc.bench.drawn_together import CallPictures, CallTask, MethodPlan
from hgc.bench.points import (
    FULL,
    HGC_PARTS,
    NULL_STEPS,
    OTHER_SEED,
    Ledger,
    MethodPoint,
    PlanPicture,
    Rows,
    in_steps,
    points,
)
from hgc.bench.setup import BenchRefused
from hgc.cache import schedules
from hgc.cache.plan import PlanRefused
from hgc.cache.rules import CalibrationRefused
from hgc.planning import Task
from hgc.planning.methods import METHODS
from hgc.request import Request
from hgc.spread.here import place_of
from hgc.spread.pace import WorkPace
from hgc.spread.together import in_order, together
from hgc.spread.work import WorkLost
from hgc.studio.studio import Studio

Tell = Callable[[str], None]


@dataclass(frozen=True)
class ParetoSetup:
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


def compare(
    studio: Studio, setup: ParetoSetup, requests: Sequence[Request], ledger: Ledger, tell: Tell
) -> list[MethodPoint]:
    """All methods on these requests, which share control, sampler and settings; one point a method and budget.

    Drawn wherever the studio's runs are done. Raises BenchRefused where a picture could not be had.
    """
    first, place = requests[0], place_of(studio)
    task = Task(first, studio.blueprint)
    # The fine cache alone is the same plan at every budget.
    entered = list({(entry.method, entry.budget): entry for entry in entries(studio, setup, task, tell)}.values())
    pages = pages_of(setup, requests, entered, ledger)
    missing = [page.drawing(number, setup.long) for number, page in enumerate(pages) if page.missing]
    pace = WorkPace(place, sum(len(drawing.missing) * len(drawing.requests) for drawing in missing))
    for drawing, news in together(place, in_order(missing), Event()):
        if isinstance(news, WorkLost):
            raise BenchRefused(f"pictures of {first.control} are missing: {news}; the same command goes on from here")
        if isinstance(news, CallPictures):
            pages[drawing.page].add(news)
            rate = pace.after(len(news.shown))
            if not pages[drawing.page].missing:
                there = sum(len(page.group) for page in pages if not page.missing)
                tell(f"{first.control}, {first.sampler}: {there} of {len(requests)} pictures; {rate}")
    shown = [[one for page in pages for one in page.shown.get(i, ())] for i in range(len(entered))]
    rows = [Rows(e.method, e.budget, task.cost(e.plan), row) for e, row in zip(entered, shown, strict=True)]
    return points(first.control, first.sampler, rows)


def entries(studio: Studio, setup: ParetoSetup, task: Task, tell: Tell) -> Iterator[MethodPlan]:
    """The full run first; what a method cannot do is told."""
    yield MethodPlan(FULL, 1.0, schedules.full(task.anatomy, task.steps))
    for budget in setup.budgets:
        for name in setup.methods:
            try:
                plan = studio.plan(task.recipe.but(method=name, budget=budget))
                studio.adjustment(plan, task.recipe)  # that there is one
                yield MethodPlan(name, budget, plan)
            except (PlanRefused, CalibrationRefused) as error:
                tell(f"left out: {task.recipe.control}, {METHODS[name].title} at {budget:.1%}: {error}")
        if setup.parts:
            yield from _parts(studio, task, budget)
    if setup.null:
        yield MethodPlan(OTHER_SEED, 1.0, schedules.full(task.anatomy, task.steps), True, setup.null)
        for steps in setup.null_steps:
            plan = schedules.full(task.anatomy, steps)
            yield MethodPlan(in_steps(steps), steps / task.steps, plan, pictures=setup.null)


def _parts(studio: Studio, task: Task, budget: float) -> Iterator[MethodPlan]:
    """HGC's caches, each alone, at what they cost then."""
    both = studio.settings(task.recipe.but(method="hgc", budget=budget))
    for part, name in HGC_PARTS.items():
        settings = replace(both, coarse=part == "coarse", fine=part == "fine")
        plan = studio.plan(task.recipe.but(method="hgc", budget=None, cache=settings))
        yield MethodPlan(name, round(task.share(plan), 4), plan)


def pages_of(
    setup: ParetoSetup, requests: Sequence[Request], entered: Sequence[MethodPlan], ledger: Ledger
) -> list[Page]:
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

    def __init__(self, group: Sequence[Request], entered: Mapping[int, MethodPlan], ledger: Ledger) -> None:
        self.group, self._entered, self._ledger = group, entered, ledger
        self.shown = {i: self._known(entry) for i, entry in entered.items()}

    def _known(self, entry: MethodPlan) -> list[PlanPicture]:
        known = [self._ledger.known(entry.noised(one), entry.plan, len(self.group)) for one in self.group]
        return [shown for shown in known if shown is not None]

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(i for i, row in self.shown.items() if len(row) < len(self.group))

    def drawing(self, number: int, long: int) -> CallTask:
        """The missing pictures as a task."""
        requests = tuple(request.model_dump_json() for request in self.group)
        missing = {i: self._entered[i] for i in self.missing}
        return CallTask(number, requests, self._entered[0].plan, missing, long)

    def add(self, drawn: CallPictures) -> None:
        self.shown[drawn.entry], entry = list(drawn.shown), self._entered[drawn.entry]
        for request, shown in zip(self.group, drawn.shown, strict=True):
            self._ledger.add(entry.noised(request), entry.plan, shown)
