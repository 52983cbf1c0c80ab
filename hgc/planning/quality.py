"""From how like the full picture is to be to the cheapest budget that was measured to give it, and how surely.

Nothing is interpolated: every answer is a budget at which pictures were drawn and judged. A PSNR is reached where nine
in ten of these pictures have it. A part of the control score is a mean over pictures (their pixels together, under
label maps), so it is reached where nine in ten bootstrap draws of the pictures have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from hgc.cache import schedules
from hgc.cache.origin import Knobs, Origin
from hgc.cache.plan import PlanRefused
from hgc.calibration.subject import Subject
from hgc.judges import ERRORS
from hgc.models.presets import GUIDANCE
from hgc.planning import optimised
from hgc.planning.calibrations import subject_of
from hgc.planning.measured import SAMPLER, STEPS, MeasuredBudget, MeasuredPicture, measured
from hgc.planning.methods import METHODS, method_of
from hgc.planning.task import R, Task
from hgc.request import Recipe
from hgc.target import Target

SURE = 0.9
DRAWS = 1000
EXACT = ("hgc", "optimised")  # whose plan is the exact savings where the budget allows them


@dataclass(frozen=True)
class Solution:
    """The budget for a target and what was measured there: a `mean` in the target's measure, over so many pictures.

    `confidence` is the part of the pictures that reach the target; of the control score, of the bootstrap's draws.
    Without pictures the plan changes no bit. `carried_over` is what was measured otherwise, as Origin has it.
    """

    target: Target
    method: str
    budget: float
    share: float
    mean: float
    confidence: float
    pictures: int
    carried_over: Knobs

    @property
    def sentence(self) -> str:
        """The answer in plain words."""
        title, words = METHODS[self.method].title, self.target.words
        if not self.pictures:
            return (
                f"No plan of {title} was measured to give {words} for less, so only what changes no bit is saved: "
                f"{self.share:.0%} of full compute."
            )
        mean = f"{self.mean:.1f} dB" if self.target.measure == "psnr" else f"{self.mean:.1%}"
        elsewhere = Origin("", carried_over=self.carried_over).carried_words
        return (
            f"At least {words}: {title} at {self.share:.0%} of full compute. {self._reached}; the mean is {mean}"
            f"{elsewhere and f', {elsewhere}'}."
        )

    @property
    def _reached(self) -> str:
        if self.target.measure == "psnr":
            return f"{round(self.confidence * self.pictures)} of {self.pictures} measured pictures reach it"
        return f"{self.confidence:.0%} sure, by {self.pictures} measured pictures"


class TargetOutOfReach(PlanRefused):
    """A target that no measured plan of a method reaches; `nearest` is the budget that comes nearest."""

    def __init__(self, message: str, nearest: float) -> None:
        super().__init__(message)
        self.nearest = nearest


def solve(task: Task) -> Solution:
    """The cheapest measured budget of the recipe's method that reaches its target, `at_least`.

    Raises PlanRefused where it has no target, or where nothing was measured for its model, method or control;
    TargetOutOfReach.
    """
    if task.recipe.at_least is None:
        raise PlanRefused("at_least: no target; give one, such as 45 dB or 99% of the control score")
    target, method, points = Target.parse(task.recipe.at_least), method_of(task.recipe.method), _points(task)
    if target.measure != "psnr" and task.recipe.control in ERRORS:
        raise PlanRefused(f"at_least: under {task.recipe.control} the score is an error; give a target in dB")
    for point in points:
        values = values_of(target, point.pictures)
        if (confidence := float((values >= target.least).mean())) >= SURE:
            mean, count = _mean(target, point.pictures), len(point.pictures)
            elsewhere = _elsewhere(task.recipe, point)
            return Solution(target, method.name, point.budget, point.share, mean, confidence, count, elsewhere)
    if method.name in EXACT:
        share = task.share(schedules.exact(task.anatomy, task.steps))
        return Solution(target, method.name, 1.0, share, inf if target.measure == "psnr" else 1.0, 1.0, 0, {})
    reached = {point: _sure(values_of(target, point.pictures)) for point in points}
    nearest = max(reached, key=lambda point: reached[point])
    most = f"{target.told(round(reached[nearest], 3))} at {nearest.share:.0%} of full compute"
    raise TargetOutOfReach(
        f"{method.title} was never measured to give {target.words} in nine of ten pictures; nearest is {most}: choose "
        f"a budget of {100 * nearest.budget:g}%, or another method",
        nearest.budget,
    )


def solved(recipe: R, task: Task) -> R:
    """The recipe with a budget for its target; as it is where it has none, or has a budget or a plan already."""
    if recipe.at_least is None or recipe.budget is not None or recipe.plan is not None:
        return recipe
    return recipe.but(budget=solve(task).budget)


def _points(task: Task) -> tuple[MeasuredBudget, ...]:
    """The measured points of the recipe's method, by its sampler or else by the tables' own. Raises PlanRefused."""
    recipe, remedy = task.recipe, "choose a budget instead"
    if optimised.measured_on(recipe.model, lambda: task.weights) is None:
        raise PlanRefused(f"at_least: no quality was measured on {recipe.model} with these weights; {remedy}")
    control = "+".join(recipe.controls)
    for sampler in (recipe.sampler, SAMPLER):
        if points := measured(recipe.method, control, sampler):
            return points
    known = [name for name in METHODS if measured(name, control, SAMPLER)]
    beside = f"measured are {', '.join(known)}: choose one of these, or a budget" if known else remedy
    raise PlanRefused(f"at_least: {METHODS[recipe.method].title} was not measured under {control}; {beside}")


def _elsewhere(recipe: Recipe, point: MeasuredBudget) -> Knobs:
    """The settings of the measured pictures that are not the recipe's, as Origin.carried_over has them."""
    wanted = subject_of(recipe)
    subject = Subject(wanted.model, wanted.control, point.sampler, STEPS, GUIDANCE)
    unlike: dict[str, bool] = {
        "pictures from noise alone": recipe.source is not None,
        "the model's own size": recipe.size is not None,
        "control at full strength in all steps": (recipe.control_scale, recipe.control_start, recipe.control_end)
        != (1.0, 0.0, 1.0),
    }
    return subject.carried_over(wanted) | {words: words for words, differs in unlike.items() if differs}


def values_of(target: Target, pictures: Sequence[MeasuredPicture]) -> NDArray[np.float64]:
    """Values to compare with the target: PSNR by picture, or the part of the control score that is kept, by draw."""
    if target.measure == "psnr":
        return np.array([one.psnr for one in pictures])
    count = len(pictures)
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)
    return _kept_score(weights.astype(np.float64), pictures)


def _sure(values: NDArray[np.float64]) -> float:
    """The value that SURE of the values reach."""
    return float(np.sort(values)[::-1][ceil(SURE * len(values)) - 1])


def _mean(target: Target, pictures: Sequence[MeasuredPicture]) -> float:
    whole = np.ones((1, len(pictures)))
    return float((values_of(target, pictures) if target.measure == "psnr" else _kept_score(whole, pictures)).mean())


def _kept_score(weights: NDArray[np.float64], pictures: Sequence[MeasuredPicture]) -> NDArray[np.float64]:
    """The part of the full pictures' control score that these keep: [draws], each of which has a picture so often.

    `weights` are [draws, pictures].
    """
    if any(one.overlaps for one in pictures):
        own = _pooled_miou(weights, [one.overlaps for one in pictures])
        return own / _pooled_miou(weights, [one.full_overlaps for one in pictures])
    own, whole = np.array([(one.score, one.full_score) for one in pictures]).T
    return np.asarray((weights @ own) / (weights @ whole))


def _pooled_miou(weights: NDArray[np.float64], pictures: Sequence[Mapping[str, Sequence[int]]]) -> NDArray[np.float64]:
    """`metrics.pooled_miou` of every draw."""
    classes = sorted({name for picture in pictures for name in picture})
    pixels = np.array([[picture.get(name, (0, 0)) for name in classes] for picture in pictures], np.float64)
    shared, both = np.moveaxis(np.tensordot(weights, pixels, 1), -1, 0)  # [draws, classes] each
    present = both > 0
    return np.asarray((shared / np.where(present, both, 1)).sum(1) / present.sum(1))
