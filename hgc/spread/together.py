"""Many tasks at one place: as many at once as it has workers, each worker taking the next when it is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from hgc.results.comparison import Cancelled
from hgc.spread.work import GivenTask, Place, WorkLost, WorkTask

T = TypeVar("T", bound=WorkTask)
LOOK_S = 0.1  # how often a stop is looked for
ENDED = object()

# The next task for somebody, who is the same object each time; None when there are no more.
Take = Callable[[object], T | None]


def in_order(tasks: Iterable[T]) -> Take[T]:
    """One after the other, whoever asks; each is made when it is asked for, and forgotten once it is done."""
    left = iter(tasks)
    return lambda _: next(left, None)


def together(place: Place, take: Take[T], stop: threading.Event) -> Iterator[tuple[T, Any]]:
    """Every task's news and, last of each, what came of it, or the WorkLost that kept it from being done.

    Ends early once `stop` is set. What a task raises ends the others, and is raised.
    """
    if place.size > 1:
        yield from _Side(place, take, stop).by_side()
        return
    try:
        while not stop.is_set() and (task := take(place)) is not None:
            try:
                for news in place.run(task, stop):
                    yield task, news
            except WorkLost as lost:
                yield task, lost
    except Cancelled:
        return


class _Side(Generic[T]):
    """A thread for each worker, which follows one task after the other."""

    def __init__(self, place: Place, take: Take[T], stop: threading.Event) -> None:
        self._place, self._take, self._asked = place, take, stop
        self._turn, self._stop = threading.Lock(), threading.Event()
        self._news: SimpleQueue[Any] = SimpleQueue()

    def by_side(self) -> Iterator[tuple[T, Any]]:
        following = [threading.Thread(target=self._follow, daemon=True) for _ in range(self._place.size)]
        for thread in following:
            thread.start()
        left = len(following)
        try:
            while left:
                if self._asked.is_set():
                    self._stop.set()
                try:
                    item = self._news.get(timeout=LOOK_S)
                except Empty:
                    continue
                if item is ENDED:
                    left -= 1
                elif isinstance(item, Exception):
                    raise item
                else:
                    yield item
        finally:
            self._stop.set()
            for thread in following:
                thread.join()

    def _follow(self) -> None:
        worker = ""
        try:
            while (task := self._next()) is not None:
                try:
                    for news in self._place.run(task, self._stop, worker):
                        worker = news.worker if isinstance(news, GivenTask) else worker
                        self._news.put((task, news))
                except WorkLost as lost:
                    self._news.put((task, lost))
        except Cancelled:
            pass
        # Told to whoever asked for all of them, who stops the others.
        except Exception as error:
            self._news.put(error)
        self._news.put(ENDED)

    def _next(self) -> T | None:
        with self._turn:
            return None if self._stop.is_set() else self._take(threading.current_thread())
