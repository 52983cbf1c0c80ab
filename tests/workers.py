"""Workers without Ray: desks in this process that can be killed, and tasks that need no model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from hgc.results.comparison import Cancelled
from hgc.spread.desk import Desk, News
from hgc.spread.facts import Facts
from hgc.spread.pool import Pool
from hgc.spread.work import WorkerLost, WorkTask

FACTS = Facts("here", "0.1.0", "a" * 12, "b" * 12, "landscapes", "cpu", "float32", "AVX512", "2.11", 1)


class Hand:
    """A desk that dies when it is told to."""

    def __init__(self, number: int, desk: Desk, facts: Facts = FACTS) -> None:
        self.name, self.desk, self._facts = f"worker {number}", desk, facts
        self.dead = self.ended = False

    def facts(self) -> Facts:
        return replace(self._facts, where=self.name)

    def work(self, name: str, task: WorkTask, patience_s: float) -> News:
        return self._alive(lambda: self.desk.work(name, task, patience_s))

    def more(self, name: str, heard: int, patience_s: float) -> News:
        return self._alive(lambda: self.desk.more(name, heard, patience_s))

    def stop(self, name: str) -> None:
        self._alive(lambda: self.desk.stop(name))

    def end(self) -> None:
        self.dead = self.ended = True

    def _alive(self, ask: Callable[[], Any]) -> Any:
        if self.dead:
            raise WorkerLost("its process ended")
        answer = ask()
        if self.dead:
            raise WorkerLost("its process ended")
        return answer


class Staff:
    """Hires hands one after the other, and knows all that there were."""

    def __init__(self, desk: Callable[[], Desk] = lambda: Desk(None)) -> None:  # type: ignore[arg-type]
        self.hands: list[Hand] = []
        self.facts, self._desk = FACTS, desk
        self._lock = threading.Lock()

    def __call__(self, number: int) -> Hand:
        with self._lock:
            self.hands.append(Hand(len(self.hands), self._desk(), self.facts))
            return self.hands[-1]

    def pool(self, count: int) -> Pool:
        return Pool(self, count).open()

    def alive(self) -> list[Hand]:
        return [hand for hand in self.hands if not hand.dead]


@dataclass(frozen=True)
class Count:
    """Counts to a number; where `wait` is an event, only once that is set."""

    to: int
    wait: threading.Event | None = None
    deaf: bool = False

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[int]:
        for number in range(1, self.to + 1):
            yield number
            while self.wait is not None and not self.wait.wait(0.01):
                if stop.is_set() and not self.deaf:
                    raise Cancelled("stopped")


@dataclass(frozen=True)
class Fail:
    """Raises."""

    error: Exception

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[int]:
        yield 0
        raise self.error
