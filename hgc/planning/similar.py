"""The measured similarity that HGC goes by for a recipe, carried over from another sampler, steps or guidance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hgc.cache.anatomy import Anatomy
from hgc.cache.origin import Knobs
from hgc.calibration.subject import Subject
from hgc.optimise.alike import Alike
from hgc.optimise.shelf import carried
from hgc.planning import optimised
from hgc.planning.calibrations import subject_of
from hgc.planning.task import Task


@dataclass(frozen=True)
class Similar:
    """The measurements, and which of their settings are not the recipe's, as Origin.carried_over has it."""

    alike: Alike
    carried_over: Knobs


def similar_to(task: Task) -> Similar | None:
    """Of the nearest sampler, steps and guidance; None where this model, control and weights were not measured."""
    subject = subject_of(task.recipe)
    fitting = [
        shelf
        for shelf in optimised.shelves(optimised.PLANS)
        if (shelf.table.subject.model, shelf.table.subject.control) == (subject.model, subject.control)
    ]
    if not fitting:
        return None
    shelf = min(fitting, key=lambda one: optimised.distance(one.table.subject, subject))
    alike = _alike(optimised.PLANS, task.anatomy, shelf.table.subject, subject.steps, subject.guidance)
    if shelf.weights != task.weights or not alike.attends:
        return None
    return Similar(alike, shelf.table.subject.carried_over(subject))


@lru_cache(maxsize=64)
def _alike(folder: Path, anatomy: Anatomy, subject: Subject, steps: int, guidance: float) -> Alike:
    """One for each, so that what was planned by it is found again."""
    (table,) = [shelf.table for shelf in optimised.shelves(folder) if shelf.table.subject == subject]
    return Alike(anatomy, carried(table, steps), guidance)
