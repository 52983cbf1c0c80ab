"""Local search on what courses really do: the error of the final latents, over a small batch of scenes.

Prediction only says which neighbour to try next; what is kept is decided by runs. Every run is remembered on disk by
its course, so that a search that was stopped goes on where it was and ends where it would have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path

from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules import OutOfReach
from hgc.ledger import append_line, lines_of
from hgc.optimise.course import CAUTIONS, Course
from hgc.optimise.dynamic import Dynamic
from hgc.optimise.neighbours import ROUNDING, descended, fitted, neighbours
from hgc.optimise.predict import Predictor
from hgc.optimise.shelf import Rung
from hgc.optimise.trials import Fidelity, Trials

DESCENT = 40  # moves downhill in prediction, at most, before anything is run
POWERS = (1, 2)  # errors that point the same way, and errors independent of each other
NEXT = 2  # how many rungs beside a budget are started from
Tell = Callable[[str], None]


class Runs:
    """Real runs of courses over the same scenes, each made once; `key` names weights, scenes and solver."""

    def __init__(self, trials: Trials, predictor: Predictor, path: Path, key: str) -> None:
        self.predictor = predictor
        self._trials, self._path, self._key = trials, path, key
        self.made = 0
        self._known: dict[str, Fidelity] = {}
        for record in lines_of(path):
            with suppress(KeyError, TypeError):
                if record["key"] == key:
                    self._known[record["course"]] = Fidelity(tuple(record["scenes_db"]))

    def of(self, course: Course) -> Fidelity:
        self.all([course])
        return self._known[str(course)]

    def all(self, courses: Iterable[Course]) -> None:
        """Makes the runs of these courses, as many side by side as there are workers."""
        self._make({str(course): partial(self.predictor.plan, course) for course in courses})

    def ahead(self, courses: Sequence[Course]) -> None:
        """Makes the first one's run, and beside it those that are likely to be asked for next."""
        if courses and str(courses[0]) not in self._known:
            self.all(courses[: self._trials.at_once])

    def fewer_steps(self, steps: int) -> Fidelity:
        """Everything computed in fewer steps of the same solver."""
        name = f"{steps} steps"
        self._make({name: lambda: Plan(Origin("full"), steps, self.predictor.anatomy.model)})
        return self._known[name]

    def _make(self, plans: Mapping[str, Callable[[], Plan]]) -> None:
        missing = {name: plan() for name, plan in plans.items() if name not in self._known}
        for name, fidelity in self._trials.tried(missing):
            self.made += 1
            self._known[name] = fidelity
            append_line(self._path, {"key": self._key, "course": name, "scenes_db": fidelity.scenes_db})


@dataclass(frozen=True)
class BestCourse:
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
    told: Callable[[BestCourse], None] = lambda found: None,
    ahead: Callable[[Sequence[Course]], None] = lambda courses: None,
) -> BestCourse:
    """The best of the starts, then of its cautions, then of neighbours as predicted, each improvement the next start.

    Never worse than the best start, never over the budget. Ends after `tries` courses or when no neighbour is left.
    `ahead` hears which courses come next, as long as none is an improvement. Raises PlanRefused for no tries, and where
    no start is within the budget.
    """
    if tries < 1:
        raise PlanRefused(f"tries {tries}: at least 1 course must be run")
    within = [course for course in dict.fromkeys(starts) if predictor.cost(course) <= budget + ROUNDING]
    if not within:
        raise PlanRefused(
            f"budget {budget:.1%}: none of {len(starts)} courses to start from costs so little; choose more"
        )
    tried: dict[Course, Fidelity] = {}

    def run(courses: Sequence[Course]) -> Iterator[Course]:
        """Those that were not run before, as many as may still be, each once it was."""
        left = [course for course in courses if course not in tried][: tries - len(tried)]
        for i, course in enumerate(left):
            ahead(left[i:])
            tried[course] = fidelity(course)
            yield course

    list(run(within))
    best = max(tried, key=lambda course: tried[course].mean_db)
    list(run([replace(best, caution=caution) for caution in CAUTIONS]))
    best = max(tried, key=lambda course: tried[course].mean_db)
    while len(tried) < tries:
        told(BestCourse(best, predictor.cost(best), tried[best], len(tried)))
        beside = run(neighbours(best, predictor, budget))
        better = next((course for course in beside if tried[course].mean_db > tried[best].mean_db), None)
        if better is None:
            break
        best = better
    return BestCourse(best, predictor.cost(best), tried[best], len(tried))


@dataclass
class SearchSession:
    """`tries` courses are run for a budget."""

    runs: Runs
    tries: int
    tell: Tell = lambda news: None
    _dynamics: dict[int, Dynamic] = field(default_factory=dict)

    @property
    def _predictor(self) -> Predictor:
        return self.runs.predictor

    def rung(self, budget: float, beside: Sequence[Rung] = ()) -> Rung:
        """The best course found for a budget. Raises OutOfReach, which names the nearest."""
        starts = self._starts(budget, beside)
        best = search(
            starts,
            self._predictor,
            self.runs.of,
            budget,
            tries=self.tries,
            told=partial(self._say, budget),
            ahead=self.runs.ahead,
        )
        return self._as_rung(budget, best.course, best.fidelity, best.tried)

    def scored(self, rungs: Sequence[Rung]) -> tuple[Rung, ...]:
        """The same courses as they do on this session's weights and scenes."""
        self.runs.all(rung.course for rung in rungs)
        return tuple(self._as_rung(rung.budget, rung.course, self.runs.of(rung.course), 1) for rung in rungs)

    def enough(self, fidelity_db: float, budgets: Sequence[float], beside: Sequence[Rung] = ()) -> Rung:
        """The first rung that reaches a fidelity, of budgets from small to great. Raises PlanRefused for none."""
        for budget in budgets:
            rung = self.rung(budget, beside)
            if rung.fidelity_db >= fidelity_db:
                return rung
        raise PlanRefused(
            f"fidelity {fidelity_db:g} dB: not reached at {budgets[-1]:.0%} of full compute, which gives "
            f"{rung.fidelity_db:.1f} dB; ask for less or allow more compute"
        )

    def _as_rung(self, budget: float, course: Course, fidelity: Fidelity, tried: int) -> Rung:
        share, steps = self._predictor.cost(course), self._predictor.table.subject.steps
        plain = self.runs.fewer_steps(min(steps, ceil(share * steps - 1e-9)))
        return Rung(
            budget=budget,
            course=course,
            share=round(share, 5),
            fidelity_db=round(fidelity.mean_db, 2),
            error_bar_db=round(fidelity.error_bar_db, 2),
            fewer_steps_db=round(plain.mean_db, 2),
            tried=tried,
        )

    def _starts(self, budget: float, beside: Sequence[Rung]) -> list[Course]:
        starts = []
        for rung in sorted(beside, key=lambda rung: abs(rung.budget - budget))[:NEXT]:
            starts.append(fitted(rung.course, self._predictor, budget))
        # As it is, so that no rung is worse than a cheaper one.
        within = [rung for rung in beside if self._predictor.cost(rung.course) <= budget + ROUNDING]
        if within:
            starts.append(max(within, key=lambda rung: rung.fidelity_db).course)
        for power in POWERS:
            planned = self._planned(power, budget)
            lowest = descended(planned, self._predictor, budget, DESCENT) if power == 1 else planned
            starts.append(replace(lowest, caution="4"))
        return starts

    def _planned(self, power: int, budget: float) -> Course:
        """The course of least predicted error. Raises OutOfReach below what the first step costs.

        Where steps have to lie further apart than the program looks, what it has for least is made cheaper.
        """
        dynamic = self._dynamic(power)
        try:
            course = dynamic.within(budget)
        except OutOfReach:
            course = dynamic.cheapest
        return fitted(course, self._predictor, budget)

    def _dynamic(self, power: int) -> Dynamic:
        if power not in self._dynamics:
            steps = self._predictor.table.subject.steps
            self._dynamics[power] = Dynamic(self._predictor, steps, self._predictor.letters, power)
        return self._dynamics[power]

    def _say(self, budget: float, best: BestCourse) -> None:
        self.tell(
            f"budget {budget:.1%}: {best.fidelity.mean_db:.1f} dB at {best.share:.1%} after {best.tried} courses, "
            f"{best.course}"
        )
