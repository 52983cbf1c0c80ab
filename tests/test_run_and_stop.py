"""Run and Stop pressed in every order, on a model whose steps take their time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page, expect
from serving import served

from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request
from hgc.results.comparison import Cancelled, Comparison, Progress
from hgc.studio.control_map import Prepared
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.pressing import Jobs, Press
from hgc.ui.underway import Underway

# gradio's own statistics, told by pandas; the warning lands in whatever test the server answers meanwhile.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

# A step that is under way cannot be interrupted: this is how long Stop has to wait for it.
STEP_S = 0.5
Visitors = Callable[..., Page]
BLANK = np.zeros((8, 8, 3), np.uint8)


class SlowStudio:
    """The embedded model, with one comparison that is made beforehand and shown again by every run.

    A run goes on until the test lets it finish, so that nothing depends on how fast this machine is.
    """

    def __init__(self, studio: Studio, made: Comparison) -> None:
        self._studio, self._made = studio, made
        self.begun = self.ended = 0
        self._changed = threading.Condition()
        self.maps, self.finish = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._studio, name)

    def prepare_control(self, *given: Any, **how: Any) -> Prepared:
        """Waits until maps may be made."""
        assert self.maps.wait(60)
        return self._studio.prepare_control(*given, **how)

    def compare(
        self, request: Request, *, cancel: threading.Event | None = None, forecast: Any = None
    ) -> Iterator[Progress | Comparison]:
        self._count(begun=1)
        try:
            for step in count(1):
                time.sleep(STEP_S)
                if cancel is not None and cancel.is_set():
                    raise Cancelled("stopped")
                if self.finish.is_set():
                    break
                yield Progress("full", min(step, request.steps - 1), request.steps, BLANK, 1.0)
            yield self._made
        finally:
            self._count(ended=1)

    def _count(self, begun: int = 0, ended: int = 0) -> None:
        with self._changed:
            self.begun, self.ended = self.begun + begun, self.ended + ended
            self._changed.notify_all()

    def wait_until_idle(self) -> None:
        """Until every run that began has ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun == self.ended, 60), "a run never ended"


@pytest.fixture(scope="module")
def studio(studio: Studio) -> SlowStudio:
    scene = paint(9_000_004)
    png = studio.prepare_control(colour_map(scene.labels), "segmentation").png
    *_, made = studio.compare(Request.make(png, steps=2))
    assert isinstance(made, Comparison)
    return SlowStudio(studio, made)


@pytest.fixture(scope="module")
def served_page(studio: SlowStudio) -> Iterator[gr.Blocks]:
    with served(Loader(lambda: studio).start()) as built:
        yield built


@pytest.fixture
def page(visitors: Visitors, served_page: gr.Blocks, studio: SlowStudio) -> Iterator[Page]:
    studio.maps.set()
    studio.finish.clear()
    opened = visitors()
    opened.goto(served_page.local_url)
    expect(opened.locator(".status.ready")).to_be_visible()
    yield opened
    studio.finish.set()
    studio.wait_until_idle()


def started(page: Page) -> None:
    expect(page.locator(".running .arm.full img")).to_be_visible()


def stopped(page: Page) -> None:
    expect(page.locator("#run-told")).to_contain_text("Stopped")
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def finished(page: Page, studio: SlowStudio) -> None:
    started(page)
    studio.finish.set()
    expect(page.locator("#figures .figure")).to_have_count(8)
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()
    studio.wait_until_idle()


# The order of the news


def press(number: int, visitor: str = "me") -> Press:
    return Press(visitor, number)


def test_a_run_plans_before_it_waits_for_the_model(
    served_page: gr.Blocks, studio: SlowStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {getattr(event.fn, "__qualname__", ""): event for event in served_page.fns.values()}
    take_up, run = named["RunEvents.take_up"], named["RunEvents.run"]
    assert run.concurrency_id == "model" != take_up.concurrency_id
    plans: list[str] = []
    plan = Studio.plan

    def noted(self: Studio, recipe: Any) -> Any:
        plans.append(recipe.method)
        return plan(self, recipe)

    monkeypatch.setattr(Studio, "plan", noted)
    studio.maps.set()
    studio.finish.set()
    form = [getattr(part, "value", None) for part in take_up.inputs[1:]]
    page, name = SimpleNamespace(session_hash="planner"), f"{'ef' * 16}/1"
    take_up.fn(page, name, *form)  # type: ignore[misc]
    assert plans == ["optimised"]
    *_, last = run.fn(page, name, None)  # type: ignore[misc]
    assert plans == ["optimised"]
    assert any(getattr(button, "elem_id", "") == "run" for button in last)
    studio.wait_until_idle()


def test_stop_reaches_the_visitors_own_run() -> None:
    jobs = Jobs()
    mine, theirs = jobs.begin(press(1)), jobs.begin(press(1, "them"))
    jobs.stop(press(1))
    assert mine is not None
    assert mine.is_set()
    assert theirs is not None
    assert not theirs.is_set()


def test_a_run_stopped_before_it_begins_never_begins() -> None:
    jobs = Jobs()
    jobs.note(press(1))
    jobs.stop(press(1))
    assert jobs.begin(press(1)) is None
    assert jobs.stopped(press(1))


def test_a_stop_that_arrives_late_spares_the_run_after_it() -> None:
    jobs = Jobs()
    first, second = jobs.begin(press(1)), jobs.begin(press(2))
    jobs.stop(press(1))
    assert first is not None
    assert first.is_set()
    assert second is not None
    assert not second.is_set()
    assert not jobs.stopped(press(1))


def test_a_press_begins_once() -> None:
    jobs = Jobs()
    assert jobs.begin(press(1)) is not None
    assert jobs.begin(press(1)) is None
    assert not jobs.stopped(press(1))


def test_visitors_are_forgotten_in_turn() -> None:
    jobs = Jobs(visitors=1)
    jobs.stop(press(1))
    jobs.note(press(1, "them"))
    assert jobs.begin(press(1)) is not None


def test_a_press_that_nobody_does_any_more_waits() -> None:
    jobs = Jobs()
    assert not jobs.waits(press(1))
    jobs.note(press(1))
    assert jobs.waits(press(1))
    assert not jobs.began(press(1))
    jobs.begin(press(1))
    assert jobs.began(press(1))
    assert not jobs.waits(press(1))
    jobs.note(press(2))
    jobs.stop(press(2))
    assert not jobs.waits(press(2))


@pytest.mark.parametrize("text", [None, "", "me", "me/1", "0123456789abcdef/", "0123456789abcdef/-1", "../../x/1"])
def test_a_press_is_read_from_the_pages_own_text_alone(text: str | None) -> None:
    assert Press.read("0123456789abcdef/7", "session") == Press("0123456789abcdef", 7)
    assert Press.read(text, "session") == Press("session", 0)


@given(st.data())
def test_however_the_news_arrive_the_last_press_runs_unless_it_was_stopped(data: st.DataObject) -> None:
    last = data.draw(st.integers(1, 4), label="presses")
    halted = data.draw(st.sets(st.integers(1, last)), label="stopped")
    news = [(verb, number) for number in range(1, last + 1) for verb in ("note", "begin", "begin")]
    news += [("stop", number) for number in halted]
    jobs, runs = Jobs(), {}
    for verb, number in data.draw(st.permutations(news), label="arrival"):
        if verb == "note":
            jobs.note(press(number))
        elif verb == "stop":
            jobs.stop(press(number))
        elif (event := jobs.begin(press(number))) is not None:
            assert number not in runs, "a press ran twice"
            runs[number] = event
    # What the page shows belongs to the last press.
    assert [number for number in range(1, last + 1) if jobs.stands(press(number))] == [last][: last not in halted]
    assert jobs.stopped(press(last)) is (last in halted)
    unstopped = [number for number, event in runs.items() if not event.is_set()]
    assert unstopped == [last][: last not in halted]


# The page


@pytest.mark.browser
def test_run_pressed_right_after_stop_runs_every_time(page: Page, studio: SlowStudio) -> None:
    begun = studio.begun
    for _ in range(3):
        page.locator("#run").click()
        started(page)
        page.locator("#stop").click()
        stopped(page)
    page.locator("#run").click()
    finished(page, studio)
    assert studio.begun == begun + 4


@pytest.mark.browser
def test_stop_before_the_run_has_begun_keeps_it_from_beginning(page: Page, studio: SlowStudio) -> None:
    begun = studio.begun
    studio.maps.clear()
    page.locator("#run").click()
    expect(page.locator("#stop")).to_be_enabled()
    page.keyboard.press("Escape")
    stopped(page)
    studio.maps.set()
    page.locator("#run").click()
    finished(page, studio)
    assert studio.begun == begun + 1


@pytest.mark.browser
def test_keys_pressed_in_a_hurry_leave_one_run(page: Page, studio: SlowStudio) -> None:
    for key in ("Control+Enter", "Escape") * 4 + ("Control+Enter",):
        page.keyboard.press(key)
        expect(page.locator("#stop" if key != "Escape" else "#run")).to_be_enabled()
    finished(page, studio)


@pytest.mark.browser
def test_a_run_that_waits_for_another_visitor_can_be_stopped_and_run_again(
    page: Page, visitors: Visitors, served_page: gr.Blocks, studio: SlowStudio
) -> None:
    other = visitors()
    other.goto(served_page.local_url)
    expect(other.locator(".status.ready")).to_be_visible()
    other.locator("#run").click()
    started(other)
    page.locator("#run").click()
    expect(page.locator("#run-told")).to_contain_text("Waiting for its turn")
    page.locator("#stop").click()
    stopped(page)
    page.locator("#run").click()
    other.locator("#stop").click()
    stopped(other)
    finished(page, studio)


@pytest.mark.browser
def test_a_run_under_way_comes_back_after_a_reload_and_its_result_too(page: Page, studio: SlowStudio) -> None:
    begun = studio.begun
    page.locator("#run").click()
    started(page)
    page.reload()
    started(page)
    expect(page.locator("#stop")).to_be_enabled()
    page.locator("#stop").click()
    stopped(page)
    page.locator("#run").click()
    started(page)
    page.reload()
    finished(page, studio)
    assert studio.begun == begun + 2, "a reload began nothing"
    page.reload()
    expect(page.locator("#figures .figure")).to_have_count(8)


@pytest.mark.browser
def test_what_was_there_before_comes_back_when_a_run_is_stopped_or_refused(page: Page, studio: SlowStudio) -> None:
    studio.finish.set()
    page.locator("#run").click()
    expect(page.locator("#figures .figure")).to_have_count(8)
    expect(page.locator("#run")).to_be_enabled()
    before = page.locator("#stage [data-arm=cached] .picture").get_attribute("src") or ""
    studio.finish.clear()
    page.locator("#run").click()
    started(page)
    expect(page.locator("#figures .figure")).to_have_count(0)
    page.locator("#stop").click()
    stopped(page)
    expect(page.locator("#stage [data-arm=cached] .picture")).to_have_attribute("src", before)
    expect(page.locator("#figures .figure")).to_have_count(8)
    studio.wait_until_idle()
    page.get_by_test_id("Use a photo-radio-label").click()
    page.locator("#run").click()
    expect(page.locator("#run-told .refused")).to_contain_text("There is no photo yet")
    expect(page.locator("#stage [data-arm=cached] .picture")).to_have_attribute("src", before)
    expect(page.locator("#figures .figure")).to_have_count(8)


# Runs that outlive their page


def test_watchers_hear_the_latest_and_the_last_and_what_went_wrong() -> None:
    halfway, go_on = threading.Event(), threading.Event()

    def work() -> Iterator[int]:
        yield from range(3)
        halfway.set()
        assert go_on.wait(60)
        yield 3
        raise ValueError("went wrong")

    underway = Underway(work, threading.Event())
    assert halfway.wait(60)
    late = underway.watch()
    assert next(late) == 2
    go_on.set()
    with pytest.raises(ValueError, match="went wrong"):
        list(late)


def test_a_run_is_stopped_when_nobody_comes_back_to_it() -> None:
    stop, steps = threading.Event(), count()
    underway = Underway(lambda: iter(lambda: stop.wait(0.01) or next(steps), True), stop, alone_s=0.2)
    for _ in range(2):  # who comes back in time finds it going on
        with closing(underway.watch()) as watching:
            next(watching)
        assert not stop.is_set()
    assert stop.wait(60)
