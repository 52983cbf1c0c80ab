"""Local search on what courses really do: the error of the final latents, over a small batch of scenes.

Prediction only says which neighbour to try next; what is kept is decided by runs. Every run is remembered on disk by
its course, so that a search that was stopped goes on where it was and ends where it would have ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log10
from pathlib import Path
from statistics import fmean, stdev

import torch

from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import PlanRefused
from hgc.optimise.course import CAUTIONS, Course
from hgc.optimise.measure import Scenes
from hgc.optimise.neighbours import ROUNDING, neighbours
from hgc.optimise.predict import Predictor

EXACT_DB = 140.0  # what float32 rounds away


@dataclass(frozen=True)
class Fidelity:
    """How near a plan comes to the full run's latents on each scene, in dB below a latent of size one (their rms)."""

    scenes_db: tuple[float, ...]

    @property
    def mean_db(self) -> float:
        return fmean(self.scenes_db)

    @property
    def error_bar_db(self) -> float:
        """Half the width of the mean's 95% interval, normal; needs two scenes."""
        return 1.96 * stdev(self.scenes_db) / len(self.scenes_db) ** 0.5


class Runs:
    """Real runs of courses over the same scenes, each made once; `key` names weights, scenes and solver."""

    def __init__(self, scenes: Scenes, predictor: Predictor, path: Path, key: str) -> None:
        self.predictor = predictor
        self._scenes, self._path, self._key = scenes, path, key
        self.made = 0
        self._known: dict[str, Fidelity] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
                if record["key"] == key:
                    self._known[record["course"]] = Fidelity(tuple(record["scenes_db"]))
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # the line that was being written when the search was stopped

    def of(self, course: Course) -> Fidelity:
        return self._remembered(str(course), lambda: self.predictor.plan(course))

    def fewer_steps(self, steps: int) -> Fidelity:
        """Everything computed in fewer steps of the same solver."""
        return self._remembered(f"{steps} steps", lambda: Plan(Origin("full"), steps, self.predictor.anatomy.model))

    def _remembered(self, name: str, plan: Callable[[], Plan]) -> Fidelity:
        if name not in self._known:
            self._known[name] = self._run(plan())
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                record = {"key": self._key, "course": name, "scenes_db": self._known[name].scenes_db}
                file.write("\n" + json.dumps(record))
        return self._known[name]

    def _run(self, plan: Plan) -> Fidelity:
        steps = self.predictor.table.subject.steps
        if not self._scenes.path:
            self._scenes.full(steps, self.predictor.anatomy.model)
        self.made += 1
        square = (self._scenes.run(plan)[-1] - self._scenes.path[-1]).float().square().mean((1, 2, 3))
        return Fidelity(tuple(_db(float(error)) for error in square.to(torch.float64)))


def _db(square: float) -> float:
    return min(EXACT_DB, -10 * log10(square)) if square > 0 else EXACT_DB


@dataclass(frozen=True)
class Found:
    """The best course tried, its cost as a share of full compute, and how many were tried."""

    course: Course
    share: float
    fidelity: Fidelity
    tried: int


def search(
    starts: Sequence[Course],
    predictor: Predictor,
    fidelity: Callable[[Course], Fidelity],
    budget: float,
    *,
    tries: int,
    told: Callable[[Found], None] = lambda found: None,
) -> Found:
    """The best of the starts, then of its cautions, then of neighbours as predicted, each improvement the next start.

    Never worse than the best start, never over the budget. Ends after `tries` courses or when no neighbour is left.
    Raises PlanRefused for no tries, and where no start is within the budget.
    """
    if tries < 1:
        raise PlanRefused(f"tries {tries}: at least 1 course must be run")
    within = [course for course in dict.fromkeys(starts) if predictor.cost(course) <= budget + ROUNDING]
    if not within:
        raise PlanRefused(
            f"budget {budget:.1%}: none of {len(starts)} courses to start from costs so little; choose more"
        )
    tried = {course: fidelity(course) for course in within[:tries]}
    best = max(tried, key=lambda course: tried[course].mean_db)
    for caution in CAUTIONS:
        if len(tried) < tries and (other := replace(best, caution=caution)) not in tried:
            tried[other] = fidelity(other)
    best = max(tried, key=lambda course: tried[course].mean_db)
    while len(tried) < tries:
        told(Found(best, predictor.cost(best), tried[best], len(tried)))
        improved = False
        for course in neighbours(best, predictor, budget):
            if course in tried:
                continue
            tried[course] = fidelity(course)
            improved = tried[course].mean_db > tried[best].mean_db
            if improved or len(tried) == tries:
                best = course if improved else best
                break
        if not improved:
            break
    return Found(best, predictor.cost(best), tried[best], len(tried))
