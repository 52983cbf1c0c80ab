"""Work over many workers, without Ray: the line, workers that are lost, stop in every phase, many tasks at once."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
import torch
from small import SIZE
from workers import FACTS, Count, Fail, Staff

from hgc.bench.setup import BenchRefused
from hgc.bench.workers import measure
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.ledger import append_line, lines_of
from hgc.planning.methods import BelowLeast
from hgc.request import Recipe, Request, RequestRefused
from hgc.results.comparison import Cancelled
from hgc.spread import pool as pools
from hgc.spread.desk import Desk
from hgc.spread.facts import Facts, WorkersDiffer, check_alike, code_digest, mixed, told
from hgc.spread.here import Here
from hgc.spread.line import Line
from hgc.spread.on import On, OnRefused
from hgc.spread.pool import Pool
from hgc.spread.together import in_order, together
from hgc.spread.work import GivenTask, NoWorkers, Waiting, WorkerLost, WorkLost
from hgc.studio.studio import Studio
from hgc.sweep import Axis, Sweep
from hgc.sweep.pricing import Job
from hgc.sweep.run import Outcome, SweepUnderway, run_cells
from hgc.ui.explore.grid import price_line, progress_bar
from hgc.unwritable import PlaceRefused

NEVER = threading.Event()


def until(true: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not true():
        assert monotonic() < end, "it never came true"
        sleep(0.01)


class Follower(threading.Thread):
    """Follows a task in a thread of its own."""

    def __init__(self, news: Iterator[Any]) -> None:
        super().__init__(daemon=True)
        self.news: list[Any] = []
        self.error: Exception | None = None
        self._of = news
        self.start()

    def run(self) -> None:
        try:
            for each in self._of:
                self.news.append(each)
        except Exception as error:
            self.error = error

    def ended(self) -> list[Any]:
        self.join(60)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return self.news


@pytest.fixture
def staff() -> Staff:
    return Staff()


def test_a_task_goes_to_a_worker_and_back_come_its_news(staff: Staff) -> None:
    pool = staff.pool(2)
    news = list(pool.run(Count(3), NEVER))
    assert isinstance(news[0], GivenTask)
    assert news[1:] == [1, 2, 3]
    assert [facts.where for facts in pool.facts] == [hand.name for hand in staff.hands]


def test_the_line_tells_its_places_and_an_estimate(staff: Staff) -> None:
    """One worker, three tasks: the second waits in place 1, the third in place 2 and then 1."""
    pool, go, seen = staff.pool(1), threading.Event(), threading.Event()
    list(pool.run(Count(1), NEVER))
    first = Follower(pool.run(Count(1, go), NEVER))
    until(lambda: len(first.news) == 2)
    second = Follower(pool.run(Count(1, seen), NEVER))
    until(lambda: bool(second.news))
    third = Follower(pool.run(Count(1), NEVER))
    until(lambda: bool(third.news))
    assert (second.news[0].place, third.news[0].place) == (1, 2)
    assert 0 < second.news[0].eta_s < third.news[0].eta_s
    go.set()
    first.ended()
    until(lambda: len(third.news) == 2)
    seen.set()
    assert [type(each) for each in second.ended()] == [Waiting, GivenTask, int]
    places = [each.place for each in third.ended() if isinstance(each, Waiting)]
    assert places == [2, 1]


def test_nobody_can_say_how_long_the_first_task_takes(staff: Staff) -> None:
    pool, go = staff.pool(1), threading.Event()
    first = Follower(pool.run(Count(1, go), NEVER))
    until(lambda: bool(first.news))
    second = Follower(pool.run(Count(1), NEVER))
    until(lambda: bool(second.news))
    assert second.news[0] == Waiting(1, None)
    go.set()
    first.ended()
    second.ended()


def test_whoever_stops_while_waiting_leaves_the_line(staff: Staff) -> None:
    pool, go, stop = staff.pool(1), threading.Event(), threading.Event()
    first = Follower(pool.run(Count(1, go), NEVER))
    until(lambda: bool(first.news))
    second = Follower(pool.run(Count(1), stop))
    until(lambda: bool(second.news))
    stop.set()
    with pytest.raises(Cancelled, match="waited"):
        second.ended()
    third = Follower(pool.run(Count(1), NEVER))
    until(lambda: bool(third.news))
    assert third.news[0].place == 1
    go.set()
    third.ended()


def test_a_stop_is_passed_on_and_the_worker_is_free_again(staff: Staff) -> None:
    pool, stop = staff.pool(1), threading.Event()
    under_way = Follower(pool.run(Count(5, threading.Event()), stop))
    until(lambda: 1 in under_way.news)
    stop.set()
    with pytest.raises(Cancelled, match="stopped"):
        under_way.ended()
    assert list(pool.run(Count(1), NEVER))[-1] == 1
    assert len(staff.hands) == 1, "the worker was kept"


def test_whoever_leaves_frees_the_worker(staff: Staff) -> None:
    pool = staff.pool(1)
    leaving = pool.run(Count(5, threading.Event()), NEVER)
    assert isinstance(next(leaving), GivenTask)
    assert next(leaving) == 1
    leaving.close()  # type: ignore[attr-defined]
    assert list(pool.run(Count(1), NEVER))[-1] == 1
    assert len(staff.hands) == 1


def test_a_worker_that_does_not_stop_is_replaced(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "STOPPING_S", 0.2)
    pool, stop, never = staff.pool(1), threading.Event(), threading.Event()
    under_way = Follower(pool.run(Count(5, never, deaf=True), stop))
    until(lambda: 1 in under_way.news)
    stop.set()
    with pytest.raises(Cancelled):
        under_way.ended()
    assert list(pool.run(Count(1), NEVER))[-1] == 1
    assert staff.hands[0].ended
    never.set()


def test_a_lost_workers_task_is_begun_again_by_another(staff: Staff) -> None:
    pool, go = staff.pool(2), threading.Event()
    under_way = Follower(pool.run(Count(2, go), NEVER))
    until(lambda: 1 in under_way.news)
    lost = under_way.news[0].worker
    next(hand for hand in staff.hands if hand.name == lost).dead = True
    until(lambda: len([each for each in under_way.news if isinstance(each, GivenTask)]) == 2)
    go.set()
    first, *_, second, one, two = under_way.ended()
    assert isinstance(first, GivenTask)
    assert isinstance(second, GivenTask)
    assert second.worker != first.worker
    assert [one, two] == [1, 2]
    until(lambda: len(pool.facts) == 2)
    assert len(staff.hands) == 3, "and another worker was hired in its place"


def test_what_three_workers_are_lost_over_is_not_given_to_a_fourth(staff: Staff) -> None:
    pool = staff.pool(2)
    poison = Fail(MemoryError("no room"))
    with pytest.raises(WorkLost, match=r"3 workers.*out of memory"):
        list(pool.run(poison, NEVER))
    until(lambda: len(pool.facts) == 2)
    assert list(pool.run(Count(1), NEVER))[-1] == 1
    assert len([hand for hand in staff.hands if hand.ended]) == 3


def test_an_accelerator_without_memory_counts_as_a_lost_worker(staff: Staff) -> None:
    with pytest.raises(WorkLost, match="out of memory"):
        list(staff.pool(1).run(Fail(torch.OutOfMemoryError("CUDA out of memory")), NEVER))


def test_refusals_come_back_as_they_are(staff: Staff) -> None:
    with pytest.raises(RequestRefused, match="such a seed"):
        list(staff.pool(1).run(Fail(RequestRefused("such a seed")), NEVER))


def test_an_error_that_cannot_be_sent_is_told_in_its_words(staff: Staff) -> None:
    class Local(RuntimeError):
        pass

    with pytest.raises(RuntimeError, match="Local: in here"):
        list(staff.pool(1).run(Fail(Local("in here")), NEVER))


def test_without_any_worker_left_it_says_why(staff: Staff) -> None:
    pool = Pool(lambda number: _nobody(number) if staff.hands else staff(number), 1).open()
    staff.hands[0].dead = True
    with pytest.raises(NoWorkers, match="no devices are free"):
        list(pool.run(Count(1), NEVER))


def _nobody(number: int) -> Any:
    raise WorkerLost("no devices are free")


def test_no_worker_at_all_is_refused() -> None:
    with pytest.raises(NoWorkers, match="no devices are free"):
        pools.Pool(_nobody, 2).open()


def test_closing_ends_all_workers_and_tells_who_waits(staff: Staff) -> None:
    pool = staff.pool(1)
    under_way = Follower(pool.run(Count(5, threading.Event()), NEVER))
    until(lambda: 1 in under_way.news)
    waits = Follower(pool.run(Count(1), NEVER))
    until(lambda: bool(waits.news))
    pool.close()
    for follower in (under_way, waits):
        with pytest.raises(NoWorkers, match="sent home"):
            follower.ended()
    assert staff.alive() == []


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"weights": "c" * 12}, "landscapes in float32, weights bbbbbbbbbbbb, worker 1 has cccccccccccc;"),
        ({"code": "c" * 12}, r"HGC Studio 0\.1\.0 \(aaaaaaaaaaaa\), worker 1 has 0\.1\.0 \(cccccccccccc\);"),
        ({"model": "sd15"}, "the model landscapes, worker 1 has sd15;"),
    ],
)
def test_workers_that_differ_are_refused_and_both_are_named(other: dict[str, str], says: str) -> None:
    first = replace(FACTS, where="worker 0")
    check_alike(first, replace(first, where="worker 7", device="cuda", processor="H200"))
    with pytest.raises(WorkersDiffer, match=f"workers differ: worker 0 has {says}"):
        check_alike(first, replace(first, where="worker 1", **other))


def test_a_worker_with_other_weights_is_never_given_work(staff: Staff) -> None:
    numbers = count()

    def hire(number: int) -> Any:
        staff.facts = replace(FACTS, weights=("b" if next(numbers) == 0 else "c") * 12)
        return staff(number)

    with pytest.raises(WorkersDiffer):
        pools.Pool(hire, 2).open()
    assert staff.alive() == []


def test_a_mixed_team_is_told() -> None:
    other = replace(FACTS, processor="AVX2")
    assert mixed([FACTS, FACTS]) == ""
    assert "2 × cpu AVX512, float32, torch 2.11; 1 × cpu AVX2" in mixed([FACTS, FACTS, other])
    assert told([FACTS, FACTS]) == "2 workers (2 × cpu AVX512)"


def test_facts_travel_as_plain_data() -> None:
    assert Facts.read(FACTS.as_dict()) == FACTS
    with pytest.raises(WorkersDiffer, match="another version"):
        Facts.read({"studio": "0.1.0"})
    assert code_digest() == code_digest()
    assert len(code_digest()) == 12


# Many tasks


def test_tasks_are_done_side_by_side_and_every_one_once(staff: Staff) -> None:
    pool, tasks = staff.pool(3), [Count(number) for number in range(1, 9)]
    news = list(together(pool, in_order(tasks), NEVER))
    for task in tasks:
        own = [each for of, each in news if of is task]
        assert own[-1] == task.to
        assert [each for each in own if isinstance(each, int)] == list(range(1, task.to + 1))


def test_a_lost_task_is_told_and_the_others_are_done(staff: Staff) -> None:
    tasks: list[Any] = [Count(2), Fail(MemoryError("no room")), Count(3)]
    last = dict(together(staff.pool(2), in_order(tasks), NEVER))
    assert (last[tasks[0]], last[tasks[2]]) == (2, 3)
    assert isinstance(last[tasks[1]], WorkLost)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_one_ends_the_others(staff: Staff, workers: int) -> None:
    pool, forever = staff.pool(workers), threading.Event()
    tasks: list[Any] = [Fail(RequestRefused("no"))] + [Count(2, forever)] * (workers - 1)
    with pytest.raises(RequestRefused, match="no"):
        list(together(pool, in_order(tasks), NEVER))
    assert list(pool.run(Count(1), NEVER))[-1] == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_stop_reaches_all(staff: Staff, workers: int) -> None:
    pool, stop = staff.pool(workers), threading.Event()
    tasks = [Count(2, threading.Event()) for _ in range(5)]
    for _, news in together(pool, in_order(tasks), stop):
        if news == 1:
            stop.set()
    assert len(staff.hands) == workers
    assert list(pool.run(Count(1), NEVER))[-1] == 1


def test_leaving_in_the_middle_frees_all(staff: Staff) -> None:
    pool = staff.pool(2)
    news = together(pool, in_order([Count(2, threading.Event()) for _ in range(4)]), NEVER)
    next(news)
    news.close()  # type: ignore[attr-defined]
    assert [list(pool.run(Count(1), NEVER))[-1] for _ in range(2)] == [1, 1]
    assert len(staff.hands) == 2


def test_a_worker_lends_itself_to_who_had_it_before() -> None:
    line: Line[Any] = Line()
    line.expect(2)
    first, second = Staff()(0), Staff()(1)
    second.name = "second"
    line.arrive(first)
    line.arrive(second)
    assert list(line.lend(NEVER, "second")) == [second]


# A sweep


@pytest.fixture(scope="module")
def sweep(studio: Studio) -> Sweep[Request]:
    scene = paint(9_000_005)
    png = studio.prepare_control(colour_map(scene.labels), "segmentation", size=SIZE).png
    base = Request.make(png, size=SIZE, prompt=scene.caption, steps=2)
    return Sweep(base, Axis("method", ("hgc", "deepcache", "step_skip")), Axis("budget", (0.05, 0.8)))


def test_a_sweep_over_workers_is_the_sweep_here(studio: Studio, sweep: Sweep[Request]) -> None:
    """One of two workers is lost half way, and the pictures are the same to the bit."""
    staff, here = Staff(lambda: Desk(studio)), dict[str, Outcome]()
    for one in run_cells(studio, sweep.cells):
        if isinstance(one, Outcome):
            here[one.cell.key] = one
    there, killed, rated = dict[str, Outcome](), False, False
    for one in run_cells(studio, sweep.cells, place=staff.pool(2)):
        if isinstance(one, SweepUnderway):
            assert one.workers == 2
            assert 0 < one.done <= 1
            rate = f", {one.per_minute:.1f} pictures a minute" if one.per_minute else ""
            assert f"· 2 workers{rate} · about " in progress_bar(sweep, one)
            rated = rated or bool(rate)
            if not killed:
                staff.hands[0].dead = killed = True
        else:
            there[one.cell.key] = one
    assert killed
    assert rated
    assert there.keys() == here.keys()
    for key, own in here.items():
        again = there[key]
        assert again.refusal == own.refusal
        if own.comparison is not None:
            assert again.comparison is not None
            assert again.comparison.likeness == own.comparison.likeness
            for name, arm in own.comparison.arms.items():
                assert np.array_equal(arm.image, again.comparison.arms[name].image)
                assert arm.trace.digest == again.comparison.arms[name].trace.digest


def test_the_time_of_a_sweep_is_shared_by_its_workers(sweep: Sweep[Request]) -> None:
    planned = [Job(10, 60_000.0), Job(10, 60_000.0)]
    assert "<b>about 2 min</b>" in price_line(sweep, planned)
    assert "<b>about 60 s by 2 workers</b>" in price_line(sweep, planned, 2)


def test_a_run_that_no_worker_survives_says_so_in_its_place(studio: Studio, sweep: Sweep[Request]) -> None:
    class Poisoned(Desk):
        def work(self, name: str, task: Any, patience_s: float) -> Any:
            poisoned = task.cell.key == "1-1-0"
            return super().work(name, Fail(MemoryError("no room")) if poisoned else task, patience_s)

    pool = Staff(lambda: Poisoned(studio)).pool(1)
    outcomes = {one.cell.key: one for one in run_cells(studio, sweep.cells, place=pool) if isinstance(one, Outcome)}
    assert outcomes["1-1-0"].refusal.startswith("given to 3 workers")
    assert outcomes["2-1-0"].comparison is not None


def test_two_sweeps_at_once_share_the_workers_and_nothing_else(studio: Studio, sweep: Sweep[Request]) -> None:
    """On two workers: each has its own runs and pictures, as it has alone; the one that is stopped stops alone."""
    pool, stop = Staff(lambda: Desk(studio)).pool(2), threading.Event()
    other = Sweep(sweep.base.but(seed=3), sweep.x, sweep.y)
    first = Follower(run_cells(studio, sweep.cells, place=pool))
    until(lambda: any(isinstance(one, SweepUnderway) for one in first.news))
    second = Follower(run_cells(studio, other.cells, place=pool, cancel=stop))
    until(lambda: any(isinstance(one, Outcome) and one.comparison for one in second.news))
    stop.set()
    cells = {one.cell.key: one for one in first.ended() if isinstance(one, Outcome)}
    assert cells.keys() == {cell.key for cell in sweep.cells}
    early = [one for one in second.ended() if isinstance(one, Outcome) and one.comparison]
    for seed, outcome in ((sweep.base.seed, cells[early[0].cell.key]), (3, early[0])):
        assert outcome.comparison is not None
        assert outcome.comparison.request.seed == seed
        *_, alone = studio.compare(outcome.cell.request)
        assert np.array_equal(outcome.comparison.cached.image, alone.cached.image)  # type: ignore[union-attr]


def test_a_line_that_does_not_fit_the_disk_is_told_in_a_sentence() -> None:
    """/dev/full takes nothing: so do the ledgers of tables and searches end."""
    with pytest.raises(PlaceRefused, match=r"'/dev/full' cannot be written \(No space left on device\)"):
        append_line(Path("/dev/full"), {"key": "a run"})


def test_a_ledger_leaves_out_the_line_that_was_being_written(tmp_path: Path) -> None:
    ledger = tmp_path / "runs" / "ledger.jsonl"
    assert list(lines_of(ledger)) == []
    append_line(ledger, {"key": "first"})
    with ledger.open("a") as file:
        file.write('\n{"key": "cut o')
    append_line(ledger, {"key": "second"})
    assert list(lines_of(ledger)) == [{"key": "first"}, {"key": "second"}]


def test_what_is_sent_and_what_comes_back_can_be_sent(studio: Studio, sweep: Sweep[Request]) -> None:
    request = sweep.cells[-1].request
    *_, comparison = studio.compare(request)
    again = pickle.loads(pickle.dumps(comparison))
    assert again.figures() == comparison.figures()  # type: ignore[union-attr]
    forecast = studio.forecast(request)
    assert pickle.loads(pickle.dumps(forecast)).plan.digest == forecast.plan.digest


def test_here_is_one_worker(studio: Studio) -> None:
    place = Here(studio)
    assert place.size == 1
    (facts,) = place.facts
    assert (facts.model, facts.weights, facts.threads) == (
        "landscapes",
        studio.weights(Recipe()),
        torch.get_num_threads(),
    )


# Where it is done, as one says it


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"place": "moon"}, "--on moon: choose here, ray, ray://HOST:PORT"),
        ({"place": "ray://"}, "choose here"),
        ({"place": "ray", "count": 0}, "--count 0: 1 to 1000 workers"),
        ({"count": 2}, "with --on ray"),
        ({"place": "ray", "workers": "http://other:7860"}, "choose one of them"),
        ({"workers": "other"}, "--workers other: give addresses"),
    ],
)
def test_a_place_that_is_none_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(OnRefused, match=says):
        On.read(**given)


def test_places_are_read() -> None:
    assert On.read() == On()
    assert not On.read().elsewhere
    assert On.read("ray", 2).count == 2
    assert On.read("ray://head:10001").elsewhere
    assert On.read(workers="http://a:7860, you/studio,http://a:7860").pages == ("http://a:7860", "you/studio")


def test_a_refusal_below_the_least_budget_can_be_sent_or_told(staff: Staff, studio: Studio, sweep: Any) -> None:
    refusal = next(one for one in run_cells(studio, sweep.cells[:1]) if isinstance(one, Outcome)).refusal
    with pytest.raises((BelowLeast, RuntimeError), match="cannot go down"):
        list(staff.pool(1).run(Fail(_below(studio, sweep)), NEVER))
    assert "cannot go down" in refusal


def _below(studio: Studio, sweep: Any) -> Exception:
    with pytest.raises(BelowLeast) as refused:
        studio.forecast(sweep.cells[0].request)
    return refused.value


def test_workers_are_measured_against_one_of_them(studio: Studio) -> None:
    """Desks that share this process's one thread are no faster together, and every picture is the same each time."""
    pool = Staff(lambda: Desk(studio)).pool(2)
    figures = measure(studio, pool, tasks=20, pictures=2, steps=2, rounds=1)
    assert figures.workers == 2
    assert figures.tasks_per_s > 0
    assert figures.ratio == figures.alone_s[0] / figures.all_s[0]
    assert "2 workers" in figures.text()
    with pytest.raises(BenchRefused, match="give --count 2"):
        measure(studio, Here(studio), tasks=1, pictures=1, steps=2, rounds=1)
