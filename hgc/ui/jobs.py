"""Who runs and who has been stopped, by the number of the press: news may arrive late and in any order."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass

VISITORS_KEPT = 1024
# As session.js writes it: the browser's name for the tab, which outlives a reload, and the number.
_PRESS = re.compile(r"([0-9a-f-]{16,64})/([0-9]{1,9})")


@dataclass(frozen=True)
class Press:
    """The `number`-th press of Run on a visitor's page, counted by the page itself."""

    visitor: str
    number: int

    @classmethod
    def read(cls, text: str | None, session: str | None) -> Press:
        """From the page's own text; from anything else, a press of the session that never was."""
        known = _PRESS.fullmatch(text or "")
        return cls(known[1], int(known[2])) if known else cls(session or "", 0)

    @property
    def name(self) -> str:
        return f"{self.visitor}/{self.number}"


@dataclass
class Visit:
    """The highest numbers that were pressed, begun and stopped, and the event that stops the run begun last."""

    pressed: int = 0
    begun: int = 0
    stopped: int = 0
    stop: threading.Event | None = None


class Jobs:
    """Every visitor's latest press of Run; safe to use from several threads.

    Numbers only grow. A press takes the place of all before it, and a stop is meant for its own press and those before:
    one that arrives before the run has begun keeps it from beginning, one that arrives late spares the run after it.
    """

    def __init__(self, visitors: int = VISITORS_KEPT) -> None:
        self._limit = visitors
        self._lock = threading.Lock()
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def note(self, press: Press) -> None:
        """Run was pressed: what the visitor pressed before is to end."""
        with self._lock:
            self._note(press)

    def begin(self, press: Press) -> threading.Event | None:
        """The event that stops the new run; None when it was stopped, replaced or begun already."""
        with self._lock:
            visit = self._note(press)
            if press.number < visit.pressed or press.number <= max(visit.stopped, visit.begun):
                return None
            visit.begun, visit.stop = press.number, threading.Event()
            return visit.stop

    def stop(self, press: Press) -> None:
        """Stop was pressed while this press of Run was the last."""
        with self._lock:
            visit = self._visit(press)
            visit.stopped = max(visit.stopped, press.number)
            if visit.stop is not None and visit.begun <= press.number:
                visit.stop.set()

    def stopped(self, press: Press) -> bool:
        """Whether it was stopped and no later one has taken its place, so that the page may say so."""
        with self._lock:
            visit = self._visit(press)
            return press.number <= visit.stopped and press.number == visit.pressed

    def stands(self, press: Press) -> bool:
        """Whether it is the visitor's latest and was not stopped, so that its news belong on the page."""
        with self._lock:
            visit = self._visit(press)
            return visit.stopped < press.number == visit.pressed

    def began(self, press: Press) -> bool:
        """Whether its run has begun, so that the page may show news of it."""
        with self._lock:
            return self._visit(press).begun == press.number

    def waits(self, press: Press) -> bool:
        """Whether it is the visitor's latest and neither began nor was stopped: nobody does it any more."""
        with self._lock:
            visit = self._visit(press)
            return max(visit.begun, visit.stopped) < press.number == visit.pressed

    def _note(self, press: Press) -> Visit:
        visit = self._visit(press)
        visit.pressed = max(visit.pressed, press.number)
        if visit.stop is not None and visit.begun < visit.pressed:
            visit.stop.set()
        return visit

    def _visit(self, press: Press) -> Visit:
        visit = self._visits.setdefault(press.visitor, Visit())
        self._visits.move_to_end(press.visitor)
        while len(self._visits) > self._limit:
            self._visits.popitem(last=False)
        return visit
