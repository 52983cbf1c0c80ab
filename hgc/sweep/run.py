"""Draws a sweep: every run in turn, each arm once, and how long the rest will take."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from hgc.cache.plan import PlanRefused
from hgc.request import Recipe, Request, RequestRefused
from hgc.results.comparison import Cancelled, Comparison, Progress
from hgc.studio.drawn import Drawn
from hgc.sweep.grid import Cell

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


@dataclass(frozen=True)
class Underway:
    """Run `number` of `runs`, counted from 1, is at `progress`; `done` is the sweep's part 0..1 of the MACs.

    `eta_s` counts all runs to come.
    """

    cell: Cell[Request]
    number: int
    runs: int
    progress: Progress
    done: float
    eta_s: float


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: its pictures, or in one sentence why this model cannot do it."""

    cell: Cell[Request]
    comparison: Comparison | None
    refusal: str = ""


@dataclass(frozen=True)
class Job:
    """A run before it is drawn: the MACs, with attention, of the arms that no run before it draws; or its refusal.

    `latency_ms` is what they will take, None until this process has measured a run.
    """

    macs: int = 0
    latency_ms: float | None = 0.0
    refusal: str = ""


def jobs(studio: Studio, cells: Sequence[Cell[Recipe]]) -> list[Job]:
    """The cost of drawing these runs, in their order."""
    return _jobs(studio, cells, Drawn())


def _jobs(studio: Studio, cells: Sequence[Cell[Recipe]], drawn: Drawn) -> list[Job]:
    pricing = _Pricing(studio, drawn)
    return [pricing.job(cell) for cell in cells]


def run_cells(
    studio: Studio, cells: Sequence[Cell[Request]], *, cancel: threading.Event | None = None
) -> Iterator[Underway | Outcome]:
    """Progress, and the outcome of every run as soon as it is there; ends early once `cancel` is set.

    An arm that several runs share, above all the full one, is made once.
    """
    drawn = Drawn()
    planned, clock = _jobs(studio, cells, drawn), _Clock()
    stop = cancel or threading.Event()
    left = whole = sum(job.macs for job in planned)
    for number, (cell, job) in enumerate(zip(cells, planned, strict=True), 1):
        if job.refusal:
            yield Outcome(cell, None, job.refusal)
            continue
        arms = 3 if cell.request.rival else 2
        seen: list[str] = []
        try:
            for news in studio.compare(cell.request, cancel=stop, drawn=drawn):
                if isinstance(news, Comparison):
                    yield Outcome(cell, news)
                    continue
                if news.arm not in seen:
                    seen.append(news.arm)
                here = job.macs * (len(seen) - 1 + news.step / news.steps) / arms
                done = (clock.done + here) / whole if whole else 1.0
                yield Underway(cell, number, len(planned), news, done, clock.eta_s(here, left - here))
        except Cancelled:
            return
        clock.done += job.macs
        left -= job.macs


@dataclass
class _Clock:
    """How long the rest will take, at the pace so far."""

    done: float = 0.0
    begun: float = field(default_factory=perf_counter)

    def eta_s(self, in_this_run: float, left: float) -> float:
        so_far = self.done + in_this_run
        return (perf_counter() - self.begun) / so_far * max(left, 0.0) if so_far else 0.0


class _Pricing:
    """The cost that every run adds to those before it."""

    def __init__(self, studio: Studio, drawn: Drawn) -> None:
        self._studio, self._drawn = studio, drawn
        self._paid: set[tuple[str, str]] = set()

    def job(self, cell: Cell[Recipe]) -> Job:
        request = cell.request
        try:
            forecast = self._drawn.forecast(request, self._studio.forecast)
        except (PlanRefused, RequestRefused) as error:
            return Job(refusal=str(error))
        picture, plan = request.picture_digest, forecast.plan.digest
        arms = {(picture, ""): (forecast.macs_full.full, forecast.latency_ms_full)}
        arms[picture, plan] = kept = (forecast.macs.full, forecast.latency_ms)
        if request.rival:
            arms[picture, f"{request.rival} at {plan}"] = kept
        new = [cost for name, cost in arms.items() if name not in self._paid]
        self._paid |= arms.keys()
        clocks = [clock for _, clock in new if clock is not None]
        return Job(sum(macs for macs, _ in new), sum(clocks) if len(clocks) == len(new) else None)
