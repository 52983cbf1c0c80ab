"""A page whose runs are done by workers: who waits is told his place, and a lost worker costs nobody his pictures."""

from __future__ import annotations

import threading
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from serving import forgotten_loops
from small import SIZE
from workers import Staff

from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request
from hgc.results.comparison import Comparison
from hgc.spread.desk import Desk
from hgc.spread.on import On, OnRefused
from hgc.spread.studio import SpreadStudio
from hgc.spread.work import Waiting
from hgc.studio.studio import Studio
from hgc.ui import Loader, build, runs_at
from hgc.ui.greeting import greet
from hgc.ui.page import QUEUE_SIZE
from hgc.ui.playground.stage import waits_told
from hgc.ui.runner import Runner, Running
from hgc.ui.underway import Underway


@pytest.fixture
def staff(studio: Studio) -> Staff:
    return Staff(lambda: Desk(studio))


@pytest.fixture
def runner(studio: Studio, staff: Staff) -> Runner:
    """A page's, with two workers."""
    spread = SpreadStudio(studio.loaded, studio.judge, staff.pool(2))
    return Runner(Loader(lambda: spread, several=True).start())


@pytest.fixture(scope="module")
def base(studio: Studio) -> Request:
    scene = paint(9_000_008)
    png = studio.prepare_control(colour_map(scene.labels), "segmentation", size=SIZE).png
    return Request.make(png, size=SIZE, prompt=scene.caption, steps=2, method="step_skip", budget=0.7)


class Visitor:
    """Watches a run from its first news on."""

    def __init__(self, runner: Runner, request: Request) -> None:
        self.request, self.stop, self.news = request, threading.Event(), list[Any]()
        self._underway: Underway[Running | str] = runner.begin(runner.plan(request), self.stop, "", None)
        self.watching = threading.Thread(target=self._watch, daemon=True)
        self.watching.start()

    def _watch(self) -> None:
        for news in self._underway.watch():
            self.news.append(news)

    def place(self) -> int | None:
        """In the line, None where it does not wait."""
        last = self.news[-1] if self.news else None
        return last.waiting.place if isinstance(last, Running) and last.waiting else None

    def drawing(self) -> bool:
        return any(isinstance(each, Running) and each.latest for each in self.news)

    def finished(self, runner: Runner) -> Comparison:
        self.watching.join(120)
        comparison = runner.runs.find(self.news[-1])
        assert comparison is not None
        return comparison


def until(true: Any) -> None:
    end = monotonic() + 120
    while not true():
        assert monotonic() < end, "it never came true"
        sleep(0.01)


def test_visitors_are_served_by_whoever_is_free(runner: Runner, staff: Staff, studio: Studio, base: Request) -> None:
    """Two run, two wait in places 1 and 2; one of those who run loses his worker, and all get their own pictures."""
    first, second = (Visitor(runner, base.but(seed=seed)) for seed in (0, 1))
    until(lambda: first.news and second.news)
    third = Visitor(runner, base.but(seed=2))
    until(lambda: third.place() == 1)
    fourth = Visitor(runner, base.but(seed=3))
    until(lambda: fourth.place() == 2)
    until(first.drawing)
    staff.hands[0].dead = True
    for visitor in (first, second, third, fourth):
        own = visitor.finished(runner)
        assert own.request == visitor.request
        if visitor in (second, fourth):
            continue  # as the other two, and a comparison takes a while
        *_, alone = studio.compare(visitor.request)
        assert isinstance(alone, Comparison)
        assert np.array_equal(own.cached.image, alone.cached.image)
        assert np.array_equal(own.full.image, alone.full.image)
    assert len(staff.hands) == 3


def test_whoever_stops_in_the_line_leaves_it(runner: Runner, base: Request) -> None:
    running = [Visitor(runner, base.but(seed=seed)) for seed in (0, 1)]
    until(lambda: all(visitor.news for visitor in running))
    waiting = Visitor(runner, base.but(seed=2))
    until(lambda: waiting.place() == 1)
    waiting.stop.set()
    waiting.watching.join(60)
    assert not waiting.drawing()
    for visitor in running:
        visitor.finished(runner)


def test_a_closer_look_is_a_workers_as_well(runner: Runner, studio: Studio, base: Request) -> None:
    *_, comparison = studio.compare(base)
    assert isinstance(comparison, Comparison)
    run = runner.runs.keep(comparison)
    *looks, inspection = runner.look(run)
    assert len(looks) == 2 * base.steps
    assert inspection.layers
    assert runner.inspections.find(run) is inspection


@pytest.mark.parametrize(("several", "limit"), [(False, 1), (True, QUEUE_SIZE)])
def test_runs_are_let_into_the_line_where_there_is_one(studio: Studio, several: bool, limit: int) -> None:
    with forgotten_loops():
        page = build(Loader(lambda: studio, several=several))
    assert {fn.concurrency_limit for fn in page.fns.values() if fn.concurrency_id == "model"} == {limit}


def test_a_page_that_opens_says_how_many_workers_there_are(runner: Runner, studio: Studio) -> None:
    for here, says in ((runner, " · 2 workers<"), (Runner(Loader(lambda: studio).start()), f"· {studio.dtype}<")):
        said, _ = greet(here.loader)
        assert says in said


def test_the_place_in_the_line_is_told_in_words() -> None:
    assert "Place 2 in the line." in waits_told(Waiting(2, 40.0))
    assert "40 s" in waits_told(Waiting(2, 40.0))
    assert "when a worker is free" in waits_told(Waiting(1, None))


def test_the_page_is_told_by_an_option_or_a_number_of_workers() -> None:
    assert On.of({}, ["--port", "1"]) == On()
    assert On.of({"HGC_WORKERS": "3"}, []) == On("ray", 3)
    assert On.of({}, ["--on", "ray"]) == On.of({}, ["--on=ray"]) == On("ray")
    assert On.of({"HGC_WORKERS": "2"}, ["--on", "ray://head:10001"]) == On("ray://head:10001", 2)
    with pytest.raises(OnRefused, match="HGC_WORKERS=many: give a number"):
        On.of({"HGC_WORKERS": "many"}, [])
    with pytest.raises(SystemExit, match="--on moon: choose"):
        runs_at({}, ["--on", "moon"])
