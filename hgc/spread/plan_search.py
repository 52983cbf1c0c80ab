"""The search for plans of least error, wherever there are workers: what is searched, what is found, how it stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hgc import limits
from hgc.calibration.subject import Subject
from hgc.optimise.measure import measure, runs_of
from hgc.optimise.predict import Predictor
from hgc.optimise.search import Runs, SearchSession
from hgc.optimise.shelf import Rung, Shelf
from hgc.request import RequestRefused
from hgc.spread.here import place_of
from hgc.spread.pace import WorkPace
from hgc.spread.trials import Cutouts, TrialsAt
from hgc.studio.calibrating import CALIBRATION_SEEDS
from hgc.studio.worker import WORKER

if TYPE_CHECKING:
    from hgc.cache.plan import Plan
    from hgc.optimise.predict import ErrorTable, Numbers
    from hgc.optimise.trials import Fidelity
    from hgc.studio.studio import Studio

FEWEST_SCENES = 2  # fewer have no error bar
COARSEST = 64  # pixels: the networks halve three times what the autoencoder divided by eight
BUDGETS = (0.2, 0.368, 0.5, 0.65)
TRIES, SCENES, SIDE = 40, 4, 128
WORK = Path("runs/optimise")
Tell = Callable[[str], None]
# Runs made of those that the search may make at most.
At = Callable[[int, int], None]


@dataclass(frozen=True)
class Search:
    """The task of a search: for each budget, a share of full compute, the best of `tries` courses.

    They are run on `scenes` scenes, every second one a drawing where hands draw the control's maps, seeds from `seeds`
    on, of whose middle `side` x `side` pixels are run. The error table is of painted scenes alone.
    """

    subject: Subject
    budgets: tuple[float, ...] = BUDGETS
    tries: int = TRIES
    scenes: int = SCENES
    side: int = SIDE
    seeds: int = CALIBRATION_SEEDS

    def check(self) -> None:
        """Raises RequestRefused."""
        for name, value, most in (
            ("budgets", len(self.budgets), limits.RUNGS),
            ("tries", self.tries, limits.TRIES),
            ("scenes", self.scenes, limits.SCENES),
            ("side", self.side, limits.MOST_SIDE_PX),
        ):
            if value > most:
                raise RequestRefused(f"{name}: {value:,} are too many for one search; {most:,} is the most")
        if self.tries < 1:
            raise RequestRefused(f"tries {self.tries}: at least 1 plan has to be tried for each budget")
        if strange := [budget for budget in self.budgets if not 0 < budget <= 1]:
            raise RequestRefused(f"budget {strange[0]:g}: choose a share of full compute from 0 to 1, such as 0.5")
        if not self.budgets:
            raise RequestRefused("no budget is named: give at least one share of full compute, such as 0.5")
        if self.scenes < FEWEST_SCENES:
            raise RequestRefused(f"scenes {self.scenes}: too few to say how wide the error bar is; {FEWEST_SCENES} do")
        if self.side < COARSEST or self.side % COARSEST:
            raise RequestRefused(f"side {self.side}: choose a multiple of {COARSEST} pixels")

    @property
    def cutouts(self) -> Cutouts:
        return Cutouts(self.subject, self.seeds, self.scenes, self.side)

    @property
    def command(self) -> str:
        """The shell command that makes the same search."""
        subject = self.subject
        return (
            f"python -m hgc optimize --model {subject.model} --control {subject.control} --sampler {subject.sampler} "
            f"--steps {subject.steps} --guidance {subject.guidance:g} --tries {self.tries} --scenes {self.scenes} "
            f"--side {self.side}"
        )


class SearchAt:
    """A search on a loaded model. What `work` holds of an earlier one is not run again.

    Everything that runs raises Cancelled at the next step once `stop` is set.
    """

    def __init__(
        self,
        search: Search,
        studio: Studio,
        work: Path = WORK,
        *,
        tell: Tell = lambda news: None,
        at: At = lambda made, most: None,
        stop: threading.Event | None = None,
    ) -> None:
        search.check()
        search.cutouts.check(studio)
        self.search, self._work, self._tell = search, work, tell
        self.weights, self._anatomy = WORKER.run(lambda: (search.cutouts.weights(studio), studio.anatomy()))
        self._setting = f"{studio.device}, {studio.dtype}"
        place = place_of(studio)
        self._trials = _Counted(TrialsAt(place, search.cutouts, stop), self._made)
        self._place, self._at = place, at
        self._begun, self._done = 0, 0

    def knows(self, shelf: Shelf) -> bool:
        """Whether plans were found on these weights for these settings."""
        return shelf.weights == self.weights and shelf.table.subject == self.search.subject

    def _has_table(self, shelf: Shelf) -> bool:
        """Whether its error table is of these weights and as many painted scenes."""
        return self.knows(shelf) and (shelf.table.scenes, shelf.table.drawings) == (self.search.scenes, 0)

    def _goes_on(self, shelf: Shelf) -> bool:
        """Whether its figures, too, are of as many scenes and drawings, and so can be compared with new ones."""
        return self._has_table(shelf) and shelf.drawings == self.search.cutouts.drawings

    def runs(self, table: ErrorTable, seeds: str = "calibration") -> Runs:
        """Runs of courses, those made before and those to come."""
        search = self.search
        of = f"{search.scenes} {seeds} scenes, {search.cutouts.drawings} of them drawings"
        key = f"{self.weights}, {search.subject}, {of}, {search.side} px, {self._setting}"
        return Runs(self._trials, Predictor(self._anatomy, table), self._work / "runs.jsonl", key)

    def shelves(
        self, before: Shelf | None = None, beside: Sequence[Rung] = (), at_least: float | None = None
    ) -> Iterator[tuple[Shelf, Rung]]:
        """For each budget the best plan found, and all that is kept with it, as soon as it is.

        The search starts from all of it, and from rungs `beside`. With `at_least`, in dB, only the least of the budgets
        is found that gives so much.
        """
        search, known = self.search, before is not None and self._goes_on(before)
        table = before.table if before is not None and self._has_table(before) else self._table()
        session = SearchSession(self.runs(table), search.tries, self._tell)
        rungs = () if before is None else before.rungs if known else session.scored(before.rungs)
        shelf = Shelf(table, rungs, self.weights, search.command, search.cutouts.drawings)
        budgets: Sequence[float] = search.budgets
        if at_least is not None:
            budgets = [session.enough(at_least, budgets, (*rungs, *beside)).budget]
        for number, budget in enumerate(budgets):
            self._begun, self._done = len(self._parts) + number * search.tries, 0
            self._at(self._begun, self._most)
            rung = session.rung(budget, (*shelf.rungs, *beside))
            shelf = shelf.with_rung(rung)
            yield shelf, rung

    @cached_property
    def _parts(self) -> Sequence[str]:
        return runs_of(self._anatomy, self.search.subject.steps)

    @property
    def _most(self) -> int:
        return len(self._parts) + len(self.search.budgets) * self.search.tries

    def _made(self) -> None:
        self._done += 1
        self._at(min(self._begun + self._done, self._most), self._most)

    def _table(self) -> ErrorTable:
        """Measured where the trials are made; what `work` has of it is not measured again."""
        name = f"{self.search.subject.name}-{self.weights}-{self.search.side}px-painted.npz"
        pace: WorkPace | None = None

        def tell(done: int, of: int) -> None:
            nonlocal pace
            self._begun, self._done = done, 0
            pace = pace or WorkPace(self._place, of - done + 1)
            self._tell(f"error table: run {done}/{of}; {pace.after()}")

        return measure(self._trials, self._anatomy, self.search.subject, self._work / name, tell)


@dataclass(frozen=True)
class _Counted:
    """Trials, each of which is told once it was made."""

    trials: TrialsAt
    made: Callable[[], None]

    @property
    def count(self) -> int:
        return self.trials.count

    @property
    def at_once(self) -> int:
        return self.trials.at_once

    def measured(self, runs: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Numbers]]]:
        """As Trials has it."""
        for part in self.trials.measured(runs):
            self.made()
            yield part

    def tried(self, plans: Mapping[str, Plan]) -> Iterator[tuple[str, Fidelity]]:
        """As Trials has it."""
        for tried in self.trials.tried(plans):
            self.made()
            yield tried
