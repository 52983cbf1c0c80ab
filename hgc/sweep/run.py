"""Draws a sweep: every run, here or wherever there are workers, and how long the rest will take."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

from hgc.request import Request
from hgc.results.comparison import Comparison, Progress
from hgc.spread.compare import Compare
from hgc.spread.here import place_of
from hgc.spread.together import Take, together
from hgc.spread.work import Place, WorkLost
from hgc.studio.arm_cache import ArmCache
from hgc.sweep.grid import SweepCell
from hgc.sweep.pricing import Job, jobs

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


@dataclass(frozen=True)
class SweepUnderway:
    """Run `number` of `runs`, counted from 1, is at `progress`; `done` is the sweep's part 0..1 of the MACs.

    `eta_s` counts all runs to come. `workers` draw at once, all together so many pictures `per_minute` so far.
    """

    cell: SweepCell[Request]
    number: int
    runs: int
    progress: Progress
    done: float
    eta_s: float
    workers: int = 1
    per_minute: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: its pictures, or in one sentence why this model cannot do it."""

    cell: SweepCell[Request]
    comparison: Comparison | None
    refusal: str = ""


def run_cells(
    studio: Studio,
    cells: Sequence[SweepCell[Request]],
    *,
    cancel: threading.Event | None = None,
    place: Place | None = None,
) -> Iterator[SweepUnderway | Outcome]:
    """First the cells that cannot be drawn; then progress, and the outcome of every run as soon as it is there.

    Ends early once `cancel` is set. An arm that several runs share, above all the full one, is made once by each
    worker. The runs are done at `place`, by default the studio's own.
    """
    drawn, place = ArmCache(), place or place_of(studio)
    planned = dict(zip([cell.key for cell in cells], jobs(studio, cells, drawn), strict=True))
    for cell in cells:
        if refusal := planned[cell.key].refusal:
            yield Outcome(cell, None, refusal)
    name, pace = uuid4().hex, _Pace(planned, place)
    runs = [
        _Run(cell.request.model_dump_json(), drawn.forecast(cell.request, studio.forecast), name, cell=cell)
        for cell in cells
        if not planned[cell.key].refusal
    ]
    for run, news in together(place, by_picture(runs), cancel or threading.Event()):
        if isinstance(news, Progress):
            yield pace.at(run.cell, news)
        elif isinstance(news, Comparison):
            pace.end(run.cell)
            yield Outcome(run.cell, news)
        elif isinstance(news, WorkLost):
            pace.end(run.cell)
            yield Outcome(run.cell, None, str(news))


@dataclass(frozen=True)
class _Run(Compare):
    """The comparison of a cell, which it brings along unused."""

    cell: SweepCell[Request] = field(kw_only=True)


def by_picture(runs: Sequence[_Run]) -> Take[_Run]:
    """The next run for a worker: of a picture that it has drawn, else of one that the fewest others are at."""
    left, taken, had = list(runs), Counter[str](), defaultdict[object, set[str]](set)

    def take(whom: object) -> _Run | None:
        own = had[whom]

        def strange(run: _Run) -> tuple[bool, int]:
            picture = run.cell.request.picture_digest
            return picture not in own, 0 if picture in own else taken[picture]

        if not left:
            return None
        run = min(left, key=strange)  # the first of several
        left.remove(run)
        own.add(run.cell.request.picture_digest)
        taken[run.cell.request.picture_digest] += 1
        return run

    return take


class _Pace:
    """How far all runs are, and how long the rest will take at the pace so far."""

    def __init__(self, planned: Mapping[str, Job], place: Place) -> None:
        self._planned, self._place = planned, place
        self._whole = sum(job.macs for job in planned.values())
        self._numbers = {key: number for number, key in enumerate(planned, 1)}
        self._seen: dict[str, set[str]] = {}
        self._here: dict[str, float] = {}  # MACs of runs under way
        self._done, self._pictures, self._begun = 0.0, 0, perf_counter()

    def at(self, cell: SweepCell[Request], news: Progress) -> SweepUnderway:
        """With this news of a run."""
        key, arms = cell.key, 3 if cell.request.rival else 2
        seen = self._seen.setdefault(key, set())
        seen.add(news.arm)
        self._pictures += news.step == news.steps
        self._here[key] = self._planned[key].macs * (len(seen) - 1 + news.step / news.steps) / arms
        done, spent_s = self._done + sum(self._here.values()), perf_counter() - self._begun
        return SweepUnderway(
            cell=cell,
            number=self._numbers[key],
            runs=len(self._planned),
            progress=news,
            done=min(1.0, done / self._whole) if self._whole else 1.0,
            eta_s=spent_s / done * max(self._whole - done, 0.0) if done else 0.0,
            workers=self._place.size,
            per_minute=60 * self._pictures / spent_s if spent_s else 0.0,
        )

    def end(self, cell: SweepCell[Request]) -> None:
        """A run is over."""
        self._here.pop(cell.key, None)
        self._done += self._planned[cell.key].macs
