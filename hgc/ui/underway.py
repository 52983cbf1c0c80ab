"""A run that outlives the page that asked for it for a while, so that a reload finds it again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextvars import copy_context
from typing import Generic, TypeVar

# A page takes some seconds to come back on a slow line.
ALONE_S = 20.0
News = TypeVar("News")


class Underway(Generic[News]):
    """Work in a thread of its own, under the latest of its news; several may watch it.

    `stop` ends the work between two news; it is set, too, when nobody has watched for `alone_s` seconds.
    """

    def __init__(self, work: Callable[[], Iterator[News]], stop: threading.Event, alone_s: float = ALONE_S) -> None:
        self._stop, self._alone_s = stop, alone_s
        self._changed = threading.Condition()
        self._latest: tuple[News, ...] = ()
        self._told = self._watchers = 0
        self._over = False
        self._error: Exception | None = None
        # The work finds the visitor's request, as it would in the thread of the event that begins it.
        context = copy_context()
        threading.Thread(target=context.run, args=(self._work, work), name="run", daemon=True).start()

    def watch(self) -> Generator[News]:
        """The latest news whenever there are any, the last ones surely; raises what the work raised."""
        heard = 0
        with self._changed:
            self._watchers += 1
        try:
            while fresh := self._after(heard):
                news, heard = fresh
                yield news
            if self._error is not None:
                raise self._error
        finally:
            self._leave()

    def _after(self, heard: int) -> tuple[News, int] | None:
        """The latest news and how many there were with them, once there are more than `heard`; None when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._told > heard)
            return (self._latest[0], self._told) if self._told > heard else None

    def _leave(self) -> None:
        with self._changed:
            self._watchers -= 1
            if self._over or self._watchers:
                return
        patience = threading.Timer(self._alone_s, self._stop_alone)
        patience.daemon = True
        patience.start()

    def _stop_alone(self) -> None:
        with self._changed:
            if not self._watchers:
                self._stop.set()

    def _work(self, work: Callable[[], Iterator[News]]) -> None:
        try:
            for news in work():
                with self._changed:
                    self._latest, self._told = (news,), self._told + 1
                    self._changed.notify_all()
        # Whatever went wrong is told to those who watch.
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
