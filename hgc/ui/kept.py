"""A visitor's values between two events of the page, by id: gr.State holds the id alone."""

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

    def keep(self, thing: T, name: str | None = None) -> str:
        """The id under which it is found again: its own name, or a new one."""
        name = name or token_hex(8)
        with self._lock:
            self._things[name] = thing
            while len(self._things) > self._limit:
                self._things.popitem(last=False)
        return name

    def find(self, name: str | None) -> T | None:
        with self._lock:
            return self._things.get(name) if name else None
