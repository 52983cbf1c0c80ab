"""The neighbours of a course: one step changed, or one step cheaper and another dearer. Plain data."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hgc.cache.schedules import OutOfReach
from hgc.optimise.course import FULL, SKIP, Course
from hgc.optimise.predict import Predictor

ROUNDING = 1e-9


def cheaper(course: Course, predictor: Predictor, branches: bool = True) -> Iterator[tuple[int, Course]]:
    """A step a notch shallower, its prediction kept, or its unguided branch left out, with the step's number."""
    for step, depth, letter in _steps(course):
        notch = predictor.letters.index(depth)
        for other in dict.fromkeys((SKIP, *predictor.letters[max(notch - 1, 0) : notch])):
            if other != depth:
                yield step, course.changed(step, depth=other)
        if branches and letter == "2" and depth != SKIP:
            yield step, course.changed(step, branch="1")


def dearer(course: Course, predictor: Predictor) -> Iterator[tuple[int, Course]]:
    """A step a notch deeper, in full, or with its unguided branch, with the step's number."""
    for step, depth, letter in _steps(course):
        notch = predictor.letters.index(depth)
        for other in dict.fromkeys((*predictor.letters[notch + 1 : notch + 2], FULL)):
            if other != depth:
                yield step, course.changed(step, depth=other)
        if letter == "1":
            yield step, course.changed(step, branch="2")


def _steps(course: Course) -> Iterator[tuple[int, str, str]]:
    letters = enumerate(zip(course.depths, course.branches, strict=True))
    return ((step, depth, branch) for step, (depth, branch) in letters if step)


def neighbours(course: Course, predictor: Predictor, budget: float, branches: bool = True) -> list[Course]:
    """All of them within the budget, the least predicted error first."""
    courses = {other for _, other in dearer(course, predictor)}
    for lowered, less in cheaper(course, predictor, branches):
        courses |= {other for raised, other in dearer(less, predictor) if raised != lowered}
        courses.add(less)
    within = [other for other in courses if predictor.cost(other) <= budget + ROUNDING]
    return sorted(within, key=lambda other: (predictor.error(other), str(other)))


def fitted(course: Course, predictor: Predictor, budget: float, pinned: Collection[int] = ()) -> Course:
    """The course made cheaper until it fits, then dearer while that fits, each time where error says so most.

    Steps in `pinned` stay what they are at least. Raises OutOfReach when the budget is below what must be computed.
    """
    while predictor.cost(course) > budget + ROUNDING:
        choices = [other for step, other in cheaper(course, predictor, branches=False) if step not in pinned]
        if not choices:
            least = predictor.cost(course)
            raise OutOfReach(
                f"budget {budget:.1%}: the steps that must be computed cost {least:.1%}; choose more", least
            )
        course = min(choices, key=lambda other: _price(course, other, predictor))
    while choices := [other for _, other in dearer(course, predictor) if predictor.cost(other) <= budget + ROUNDING]:
        best = max(choices, key=lambda other: _price(other, course, predictor))
        if predictor.error(best) >= predictor.error(course):
            break
        course = best
    return course


def _price(dear: Course, cheap: Course, predictor: Predictor) -> float:
    """The error that each share of compute between two courses takes away."""
    saved = predictor.cost(dear) - predictor.cost(cheap)
    return (predictor.error(cheap) - predictor.error(dear)) / max(saved, ROUNDING)


def descended(course: Course, predictor: Predictor, budget: float, rounds: int) -> Course:
    """Downhill in predicted error, no model run; at most so many moves."""
    for _ in range(rounds):
        best = neighbours(course, predictor, budget)[:1]
        if not best or predictor.error(best[0]) >= predictor.error(course):
            break
        course = best[0]
    return course
