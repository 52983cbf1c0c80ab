"""One subject optimised for a budget: courses from the table, from the rungs beside it, and the search from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from hgc.cache.rules import PlanRefused
from hgc.optimise.course import Course
from hgc.optimise.dynamic import Dynamic
from hgc.optimise.neighbours import descended, fitted
from hgc.optimise.predict import Predictor
from hgc.optimise.search import Fidelity, Found, Runs, search
from hgc.optimise.shelf import Rung

DESCENT = 40  # moves downhill in prediction, at most, before anything is run
POWERS = (1, 2)  # errors that point the same way, and errors independent of each other
NEXT = 2  # how many rungs beside a budget are started from

Tell = Callable[[str], None]


@dataclass
class Session:
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
        best = search(starts, self._predictor, self.runs.of, budget, tries=self.tries, told=partial(self._say, budget))
        return self._as_rung(budget, best.course, best.fidelity, best.tried)

    def scored(self, rung: Rung) -> Rung:
        """The same course as it does on this session's weights and scenes."""
        return self._as_rung(rung.budget, rung.course, self.runs.of(rung.course), 1)

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
        for power in POWERS:
            planned = fitted(self._dynamic(power).within(budget), self._predictor, budget)
            lowest = descended(planned, self._predictor, budget, DESCENT) if power == 1 else planned
            starts.append(replace(lowest, caution="4"))
        return starts

    def _dynamic(self, power: int) -> Dynamic:
        if power not in self._dynamics:
            steps = self._predictor.table.subject.steps
            self._dynamics[power] = Dynamic(self._predictor, steps, self._predictor.letters, power)
        return self._dynamics[power]

    def _say(self, budget: float, best: Found) -> None:
        self.tell(
            f"budget {budget:.1%}: {best.fidelity.mean_db:.1f} dB at {best.share:.1%} after {best.tried} courses, "
            f"{best.course}"
        )
