"""Which look at a drawing counts: a visitor's latest. A slow detector holds up nobody, not even its own visitor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hgc.ui.sessions import RecentItems

T = TypeVar("T")

VISITORS_KEPT = 1024
# Detectors that fetch weights or run networks; more wait for their turn, and give it up when nobody waits for them.
SLOW_AT_ONCE = 2
GLANCE_S = 0.1
# Numbers a page's looks as they are asked for, first of the inputs: under load a later one may reach the server first.
# A page that opens again begins above all numbers of before.
NUMBERED_JS = "(_, ...drawing) => [(window.hgcLook = (window.hgcLook ?? Date.now()) + 1), ...drawing]"


class Looks:
    """Every visitor's latest look; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest = RecentItems[int](VISITORS_KEPT)
        self._slow = ThreadPoolExecutor(SLOW_AT_ONCE, thread_name_prefix="detector")

    def begin(self, visitor: str, number: int) -> None:
        """A look takes the place of all that were asked for before it."""
        with self._lock:
            self._latest.keep(max(number, self._latest.find(visitor) or 0), visitor)

    def stands(self, visitor: str, number: int) -> bool:
        return self._latest.find(visitor) == number

    def wait(self, work: Callable[[], T], visitor: str, number: int) -> T | None:
        """The result of slow work; None as soon as its look no longer stands. Work under way is left to end alone."""
        future = self._slow.submit(work)
        while self.stands(visitor, number):
            try:
                return future.result(GLANCE_S)
            except TimeoutError:
                if future.done():
                    raise
        future.cancel()
        return None
