"""What the page keeps between two events of a visitor, by id: gr.State holds the id alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from secrets import token_hex
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The latest things of all visitors, the oldest forgotten first; safe to use from several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._things: OrderedDict[str, T] = OrderedDict()

    def keep(self, thing: T) -> str:
        """The id under which it is found again."""
        name = token_hex(8)
        with self._lock:
            self._things[name] = thing
            while len(self._things) > self._limit:
                self._things.popitem(last=False)
        return name

    def find(self, name: str | None) -> T | None:
        with self._lock:
            return self._things.get(name) if name else None


class Jobs:
    """The run under way in each visitor's page, so that Stop reaches it; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, threading.Event] = {}

    def begin(self, visitor: str) -> threading.Event:
        """The event that stops the new run; one that the visitor left running is stopped."""
        with self._lock:
            if (before := self._running.get(visitor)) is not None:
                before.set()
            self._running[visitor] = threading.Event()
            return self._running[visitor]

    def stop(self, visitor: str) -> bool:
        """Whether there was a run to stop."""
        with self._lock:
            event = self._running.pop(visitor, None)
        if event is not None:
            event.set()
        return event is not None

    def end(self, visitor: str, event: threading.Event) -> None:
        with self._lock:
            if self._running.get(visitor) is event:
                del self._running[visitor]
