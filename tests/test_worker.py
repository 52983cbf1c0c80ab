"""The one thread that computes: jobs in turn, errors told to whom asked, a job taken back before it began."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from hgc.studio.worker import Worker, on_worker


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_all_jobs_are_done_in_one_thread_in_turn(worker: Worker) -> None:
    done: list[tuple[int, int]] = []
    jobs = [worker.start(lambda i=i: done.append((i, threading.get_ident()))) for i in range(5)]
    for job in jobs:
        job.result(60)
    assert [i for i, _ in done] == list(range(5))
    assert len({thread for _, thread in done}) == 1
    assert threading.get_ident() not in {thread for _, thread in done}


def test_an_error_reaches_who_asked_and_the_worker_goes_on(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        worker.run(lambda: 1 / 0)
    assert worker.run(lambda: 7) == 7


def test_a_job_may_call_another_but_not_wait_for_one(worker: Worker) -> None:
    assert worker.run(lambda: worker.run(lambda: 7)) == 7
    with pytest.raises(RuntimeError, match="call it instead"):
        worker.run(lambda: worker.start(lambda: 7))


def test_a_job_that_has_not_begun_is_taken_back_at_once(worker: Worker) -> None:
    begun, go, done = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        go.wait(60)

    held = worker.start(first)
    assert begun.wait(60)
    waiting = worker.start(lambda: done.append(1))
    worker.end(waiting)  # returns although the first is still at work
    assert waiting.cancelled()
    assert not held.done()
    go.set()
    worker.end(held)
    assert held.done()
    assert worker.run(lambda: list(done)) == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_worker_of_its_own(worker: Worker) -> None:
    """As ZeroGPU makes them; the child's answer is its exit status."""
    assert worker.run(lambda: 7) == 7
    child = os.fork()
    if child == 0:
        try:
            os._exit(worker.start(lambda: 7).result(60))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_every_item_is_made_in_the_worker_and_an_error_on_the_way_is_raised(worker: Worker) -> None:
    def items() -> Iterator[int]:
        yield threading.get_ident()
        yield threading.get_ident()
        raise KeyError("third")

    found = worker.each(items())
    assert next(found) == next(found) == worker.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(KeyError, match="third"):
        next(found)
    assert list(worker.each(iter([1, 2]))) == [1, 2]


def test_a_decorated_function_keeps_its_name_arguments_and_result() -> None:
    @on_worker
    def name_of_thread(before: str, *, after: str) -> str:
        return before + threading.current_thread().name + after

    assert name_of_thread("<", after=">") == "<worker>"
    assert name_of_thread.__name__ == "name_of_thread"
