"""Runs what the Playground asks for and tells the page how it goes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gradio as gr

from hgc.cache.plan import Plan
from hgc.control.images import ImageRefused
from hgc.history import NOWHERE, History, HistoryPlace, HistoryRefused
from hgc.planning import with_budget
from hgc.planning.methods import BelowLeast
from hgc.request import Request
from hgc.results.comparison import Cancelled, Comparison
from hgc.results.opened import Opened
from hgc.results.records import record_of
from hgc.spread.work import GivenTask, Waiting
from hgc.ui.loader import Loader
from hgc.ui.pressing import Jobs
from hgc.ui.sessions import RecentItems
from hgc.ui.underway import Underway

if TYPE_CHECKING:
    from hgc.request import ArmName
    from hgc.results.again import Original
    from hgc.results.comparison import Progress
    from hgc.results.forecast import Forecast
    from hgc.studio.inspection import Inspection, Look
    from hgc.ui.playground.drawing import ControlMap


log = logging.getLogger(__name__)

RUNS_KEPT, SHEETS_KEPT, PLANS_KEPT, UNDERWAY_KEPT = 32, 128, 512, 64
INSPECTIONS_KEPT = 4  # tens of megabytes each


@dataclass(frozen=True)
class Running:
    """How far a run is: its place in the line while it waits for a worker, then the latest progress of every arm."""

    request: Request
    latest: Mapping[ArmName, Progress] = field(default_factory=dict)
    waiting: Waiting | None = None


@dataclass(frozen=True)
class Planned:
    """A request and its plans, made before it waits for the model."""

    request: Request
    forecast: Forecast


class Runner:
    """Every visitor's runs, one at a time each, and what is kept of them."""

    def __init__(self, loader: Loader, place: HistoryPlace = NOWHERE) -> None:
        self.loader, self.jobs, self.place = loader, Jobs(), place
        self.runs: RecentItems[Comparison] = RecentItems(RUNS_KEPT)
        self.sheets: RecentItems[ControlMap] = RecentItems(SHEETS_KEPT)
        self.planned: RecentItems[Planned] = RecentItems(SHEETS_KEPT)
        self.plans: RecentItems[Plan] = RecentItems(PLANS_KEPT)
        self.inspections: RecentItems[Inspection] = RecentItems(INSPECTIONS_KEPT)
        self.originals: RecentItems[Original] = RecentItems(SHEETS_KEPT)
        self.underway: RecentItems[Underway[Running | str]] = RecentItems(UNDERWAY_KEPT)

    @property
    def history(self) -> History:
        """Raises HistoryRefused where nothing is kept."""
        if self.place.history is None:
            raise HistoryRefused(self.place.words)
        return self.place.history

    def keep(self, comparison: Comparison, visit: str | None) -> str:
        """The id of a finished run; it goes into the history too. What speaks against that is shown for a while."""

        if self.place.history is not None:
            try:
                self.history.keep(record_of(comparison), self.place.owner(visit))
            except (HistoryRefused, ImageRefused) as error:
                gr.Warning(str(error))
        return self.runs.keep(comparison)

    def opened(self, run: str | None, arm: str) -> Opened | None:
        """A kept run with this arm opened up; None when it is forgotten."""

        comparison = self.runs.find(run)
        return None if comparison is None else Opened.of(comparison, arm)

    def look(self, run: str | None) -> Iterator[Look | Inspection]:
        """Makes a kept run's pictures once more, watched, and keeps what is seen; nothing when it is forgotten."""
        from hgc.studio.inspection import Inspection

        comparison = self.runs.find(run)
        for news in self.loader.studio().inspect(comparison) if comparison is not None else ():
            if isinstance(news, Inspection) and comparison is not None:
                self.inspections.keep(news, run)
                self.runs.keep(news.told(comparison), run)
            yield news

    def plan(self, request: Request) -> Planned:
        """The request with what it will run: at the budget that its target comes to; where the method costs more than
        the budget, at its least, as the form says. Raises Refused.
        """
        studio = self.loader.studio()
        request = with_budget(request, studio.blueprint)
        try:
            return Planned(request, studio.forecast(request))
        except BelowLeast as error:
            least = error.at_least(request)
            return Planned(least, studio.forecast(least))

    def begin(self, planned: Planned, stop: threading.Event, name: str, visit: str | None) -> Underway[Running | str]:
        """Starts a run, which is found again by its name; its last news is the id of what came of it."""

        def work() -> Iterator[Running | str]:
            running = Running(planned.request)
            if not self.loader.several:
                yield running
            for news in self.compare(planned, stop):
                if isinstance(news, Comparison):
                    yield self.keep(news, visit)
                elif isinstance(news, Waiting):
                    yield replace(running, waiting=news)
                elif isinstance(news, GivenTask):  # anew, where a worker was lost
                    yield (running := Running(planned.request))
                else:
                    running = replace(running, latest={**running.latest, news.arm: news})
                    yield running

        underway = Underway(work, stop)
        self.underway.keep(underway, name)
        return underway

    def compare(self, planned: Planned, stop: threading.Event) -> Iterator[Waiting | GivenTask | Progress | Comparison]:
        """Progress and, last, the comparison; with several workers, the wait for one and who has it. Nothing more once
        `stop` is set: the model ends after its step.

        Raises Refused.
        """
        try:
            for news in self.loader.studio().compare(planned.request, cancel=stop, forecast=planned.forecast):
                if stop.is_set():
                    return
                yield news
        except Cancelled:
            log.info("stopped by the visitor")
        finally:
            stop.set()
