"""Plans kept by `hgc optimize`, for a recipe: looked up, filled up to its budget, or carried over from the nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from hgc.cache.origin import Knobs
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.schedules import exact, most_within
from hgc.calibration.subject import Subject
from hgc.optimise.course import FULL, SKIP, Course, plan_of
from hgc.optimise.neighbours import ROUNDING, fitted
from hgc.optimise.predict import Predictor
from hgc.optimise.shelf import Shelf, carried, stretched
from hgc.planning.calibrations import subject_of
from hgc.planning.task import Task
from hgc.request import Recipe

PLANS = Path(__file__).resolve().parents[2] / "assets" / "plans"
OWN = "runs/plans"  # where those searched on the page and brought from the Hub are looked for, in the working folder


@dataclass(frozen=True)
class NearestShelf:
    """A shelf, and what of it is not of the recipe, as Origin.carried_over has it."""

    shelf: Shelf
    carried_over: Knobs


def optimised(task: Task, share: float) -> Plan:
    """The kept plan of most compute within `share`, filled up to it step by step where the error table says so most.

    Raises OutOfReach below what the first step costs, PlanRefused where nothing is kept at all.
    """
    if share >= task.share(whole := exact(task.anatomy, task.steps)):
        return whole
    kept = kept_for(task.recipe)
    courses = [_started(stretched(rung.course, task.steps), task) for rung in kept.shelf.rungs]
    # Two controls together were measured nowhere: the table knows the networks of one.
    if kept.shelf.table.subject.model != task.recipe.model or task.recipe.second is not None:
        return _by_lines(task, share, courses, kept.carried_over)
    table = carried(kept.shelf.table, task.steps)
    predictor = Predictor(task.anatomy, table, guided=task.guided)
    start, budget = _nearest(courses, predictor, share), share
    planned = partial(
        plan_of,
        anatomy=task.anatomy,
        weigher=table,
        carried_over=kept.carried_over,
        uncontrolled=_uncontrolled(task),
        verified=task.recipe.verify is not None,
    )
    least = _started(_least(task.steps), task)
    most_within(share, [planned(least)], task.share)
    while True:
        course = fitted(start, predictor, budget, pinned=_pinned(task))
        plan = planned(course)
        if (over := task.share(plan) - share) <= ROUNDING:
            return plan
        # Where the control is off for a while, full compute is less than the predictor takes it for.
        budget = max(budget - over, predictor.cost(least))


def kept_for(recipe: Recipe) -> NearestShelf:
    """The searched plans for a recipe, or for the one most like it. Raises PlanRefused where nothing is kept."""
    subject = subject_of(recipe)
    candidates = (*shelves(Path(OWN).absolute()), *shelves(PLANS))  # of equals, one's own
    if not candidates:
        raise PlanRefused("no optimised plans are kept here; make them with: python -m hgc optimize")
    shelf = min(candidates, key=lambda shelf: distance(shelf.table.subject, subject))
    return NearestShelf(shelf, shelf.table.subject.carried_over(subject))


def measured_on(model: str | None, weights: Callable[[], str]) -> Subject | None:
    """A subject of a model's that was measured on these very weights; they are asked for where there is any."""
    kept = [shelf for shelf in (*shelves(PLANS), *shelves(Path(OWN).absolute())) if shelf.table.subject.model == model]
    digest = weights() if kept else ""
    return next((shelf.table.subject for shelf in kept if shelf.weights == digest), None)


@cache
def shelves(folder: Path) -> tuple[Shelf, ...]:
    """All that is kept, by file name. Raises CalibrationRefused for a damaged file."""
    return tuple(Shelf.read(path) for path in sorted(folder.glob("*.json")))


def distance(kept: Subject, wanted: Subject) -> tuple[bool, bool, bool, int, float]:
    """How unlike two subjects are; the model weighs most, then the sampler, which amplifies errors in its own way."""
    unlike = (kept.model != wanted.model, kept.sampler != wanted.sampler, kept.control != wanted.control)
    return (*unlike, abs(kept.steps - wanted.steps), abs(kept.guidance - wanted.guidance))


def _uncontrolled(task: Task) -> frozenset[int]:
    return frozenset(step for step, off in enumerate(task.off) if off)


def _pinned(task: Task) -> frozenset[int]:
    """Steps that compute everything whatever the budget: where a control sets in that nothing is kept of yet."""
    return frozenset({task.first_control_step} - {0})


def _least(steps: int) -> Course:
    """The first step in full, and all others going on from it."""
    return Course(FULL + SKIP * (steps - 1), "2" * steps)


def _started(course: Course, task: Task) -> Course:
    for step in _pinned(task):
        course = course.changed(step, depth=FULL, branch="2")
    return course if task.guided else Course(course.depths, "2" * course.steps, course.caution)


def _nearest(courses: Sequence[Course], predictor: Predictor, share: float) -> Course:
    """The dearest within the share, or the cheapest of all."""
    within = [course for course in courses if predictor.cost(course) <= share + ROUNDING]
    return max(within, key=predictor.cost) if within else min(courses, key=predictor.cost)


def _by_lines(task: Task, share: float, courses: Sequence[Course], carried_over: Knobs) -> Plan:
    """On another model, or with controls that were not measured together: the same courses with lines for weights.

    Filled up with steps in full, the first ones first.
    """

    def plan(course: Course) -> Plan:
        return plan_of(course, task.anatomy, None, carried_over, _uncontrolled(task))

    course = most_within(share, sorted(courses, key=lambda c: -task.share(plan(c))), lambda c: task.share(plan(c)))
    for step in range(course.steps):
        fuller = course.changed(step, depth=FULL, branch="2")
        course = fuller if task.share(plan(fuller)) <= share + ROUNDING else course
    return plan(course)
