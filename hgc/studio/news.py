"""Work that tells how it goes while the worker does it, as a generator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from hgc.studio.worker import WORKER

News = TypeVar("News")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Done(Generic[Result]):
    result: Result


def as_it_goes(
    work: Callable[[Callable[[News], None], Callable[[], bool]], Result],
    cancel: threading.Event | None = None,
) -> Iterator[News | Result]:
    """Yields what `work(tell, stopped)` tells and, last, what it gives; raises what it raises.

    `stopped` is true once `cancel` is set or the generator is closed, which waits for the work to end.
    """
    left, asked = threading.Event(), cancel or threading.Event()
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
