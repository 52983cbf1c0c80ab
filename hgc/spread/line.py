"""The line in which tasks wait for a worker: first come, first served, each with its place and an estimate."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from statistics import fmean
from time import monotonic
from typing import Generic, Protocol, TypeVar

from hgc.results.comparison import Cancelled
from hgc.spread.work import NoWorkers, Waiting

LOOK_S = 0.1  # how often somebody who waits looks whether he was stopped
TIMED = 32  # tasks from which the time of the next is estimated


class Named(Protocol):
    @property
    def name(self) -> str: ...


W = TypeVar("W", bound=Named)


class Line(Generic[W]):
    """Workers that are free, lent or on their way, and those who wait for one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._free: list[W] = []
        self._lent: dict[str, float] = {}  # names, and since when
        self._coming = 0
        self._waiting: list[object] = []
        self._seconds: deque[float] = deque(maxlen=TIMED)
        self._reason = ""

    @property
    def size(self) -> int:
        """Workers that there are, and that are on their way."""
        with self._changed:
            return len(self._free) + len(self._lent) + self._coming

    def expect(self, count: int = 1) -> None:
        """So many workers are on their way."""
        with self._changed:
            self._coming += count

    def arrive(self, worker: W) -> None:
        """One of them is here."""
        with self._changed:
            if self._coming:
                self._coming -= 1
                self._free.append(worker)
            self._changed.notify_all()

    def stay_away(self, reason: str) -> None:
        """One of them will not come."""
        with self._changed:
            self._coming = max(0, self._coming - 1)
            self._reason = reason
            self._changed.notify_all()

    def lend(self, stop: threading.Event, before: str = "") -> Iterator[Waiting | W]:
        """Its place whenever that changes and, last, the worker: the one of that name, where several are free.

        Raises Cancelled once `stop` is set, NoWorkers.
        """
        ticket, told = object(), 0
        with self._changed:
            self._waiting.append(ticket)
        try:
            while (worker := self._turn(ticket, stop, before, told)) is None or isinstance(worker, Waiting):
                if worker is not None:
                    told = worker.place
                    yield worker
            yield worker
        finally:
            with self._changed:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                self._changed.notify_all()

    def give_back(self, worker: W) -> None:
        """After a task that was done."""
        with self._changed:
            if (since := self._lent.pop(worker.name, None)) is None:
                return  # closed meanwhile
            self._seconds.append(monotonic() - since)
            self._free.append(worker)
            self._changed.notify_all()

    def lose(self, worker: W) -> None:
        """It was lent and is no more."""
        with self._changed:
            self._lent.pop(worker.name, None)
            self._changed.notify_all()

    def close(self, reason: str) -> None:
        """No worker is lent any more, for this reason."""
        with self._changed:
            self._free, self._coming, self._reason = [], 0, reason
            self._lent.clear()
            self._changed.notify_all()

    def _turn(self, ticket: object, stop: threading.Event, before: str, told: int) -> W | Waiting | None:
        """The worker when it is the ticket's turn, its place where that is not what it was told, None to look again."""
        with self._changed:
            if stop.is_set():
                raise Cancelled("stopped while it waited for a worker")
            place = self._waiting.index(ticket)
            if place < len(self._free):
                worker = next((each for each in self._free if each.name == before), self._free[0])
                self._free.remove(worker)
                self._waiting.remove(ticket)
                self._lent[worker.name] = monotonic()
                return worker
            if not (self._free or self._lent or self._coming):
                raise NoWorkers(f"no worker is left: {self._reason}; what is finished is kept")
            if place + 1 != told:
                return Waiting(place + 1, self._eta_s(place))
            self._changed.wait(LOOK_S)
            return None

    def _eta_s(self, place: int) -> float | None:
        """Workers become free one after the other, all together as often as they do tasks."""
        if not self._seconds:
            return None
        return fmean(self._seconds) * (place + 1) / max(1, len(self._lent) + self._coming)
