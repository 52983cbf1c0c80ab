"""One thread for everything that computes with tensors, as long as the process lives, and news of what it does.

OpenMP gives every thread that runs a parallel loop a team of its own. Once all teams together have more threads than
there are cores, GNU's libgomp no longer waits awake at a loop's end but sleeps and is woken, even while the other team
is idle (counted on two cores: no voluntary context switch a loop with one team, two with a second one). A denoising
step runs hundreds of loops of some microseconds. So a model is loaded, warmed up, run and timed in the same thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial, wraps
from queue import SimpleQueue
from threading import Event, Lock, Thread, current_thread
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
News = TypeVar("News")
Result = TypeVar("Result")


class Worker:
    """Does one job after the other. Its thread is a daemon: what it does is stopped by the end of the process."""

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)  # a fork leaves the thread behind

    def _begin_anew(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._thread: Thread | None = None
        self._lock = Lock()

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Puts a job in the queue. Raises RuntimeError in the worker's own thread, where waiting for it never ends."""
        if current_thread() is self._thread:
            raise RuntimeError("a job of the worker puts another one in its queue: call it instead")
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="worker", daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._jobs.put((future, work))
        return future

    def run(self, work: Callable[[], T]) -> T:
        """Runs a job there and gives what it returns or raises; a job of a job is simply called."""
        return work() if current_thread() is self._thread else self.start(work).result()

    def each(self, items: Iterator[T]) -> Iterator[T]:
        """The items of an iterator, each made by the worker when it is asked for."""
        done = object()
        while (item := self.run(lambda: next(items, done))) is not done:
            yield item  # type: ignore[misc]

    def end(self, job: Future[Any]) -> None:
        """Takes a job back that has not begun, else waits until it is over."""
        # A forgotten generator may be cleared away, and end its job, in any thread: this one would wait for itself.
        if not job.cancel() and current_thread() is not self._thread:
            wait([job])

    def _serve(self) -> None:
        while True:
            _settle(*self._jobs.get())


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


WORKER = Worker()


def on_worker(function: Callable[P, T]) -> Callable[P, T]:
    """Has every call of the function done by the worker."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return WORKER.run(partial(function, *args, **kwargs))

    return call


@dataclass(frozen=True)
class _Done(Generic[Result]):
    result: Result


def as_it_goes(
    work: Callable[[Callable[[News], None], Callable[[], bool]], Result],
    cancel: Event | None = None,
) -> Iterator[News | Result]:
    """Work in the worker as a generator: first the news that `work(tell, stopped)` tells, last its result.

    Raises whatever the work raises.

    `stopped` is true once `cancel` is set or the generator is closed, which waits for the work to end.
    """
    left, asked = Event(), cancel or Event()
    items: SimpleQueue[News | _Done[Result] | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            items.put(_Done(work(items.put, lambda: left.is_set() or asked.is_set())))
        except BaseException as error:
            items.put(error)

    job = WORKER.start(run)
    try:
        while not isinstance(item := items.get(), _Done):
            if isinstance(item, BaseException):
                raise item
            yield item
        yield item.result
    finally:
        left.set()
        WORKER.end(job)
