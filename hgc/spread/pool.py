"""Workers elsewhere as a place: each task goes to the first that is free, and to another where that one is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Protocol
from uuid import uuid4

from hgc.spread.desk import News
from hgc.spread.facts import Facts, check_alike
from hgc.spread.line import Line
from hgc.spread.work import TRIES, GivenTask, NoWorkers, Waiting, WorkerLost, WorkLost, WorkTask

log = logging.getLogger(__name__)

POLL_S = 0.25  # how long a worker is asked for news at once; a stop is passed on as often
STOPPING_S = 60.0  # after which a worker that does not stop is ended
HIRES = 3  # tries to have another in the place of one that was lost
CLOSED = "the workers were sent home"


class WorkerHand(Protocol):
    """A desk elsewhere, under a name of its own. Everything but `end` raises WorkerLost."""

    @property
    def name(self) -> str: ...
    def facts(self) -> Facts: ...
    def work(self, name: str, task: WorkTask, patience_s: float) -> News: ...
    def more(self, name: str, heard: int, patience_s: float) -> News: ...
    def stop(self, name: str) -> None: ...
    def end(self) -> None:
        """Ends the worker, whatever it does."""
        ...


class Pool:
    """`hire` gives the `number`-th worker once its model is loaded, and is asked again for one that was lost."""

    def __init__(self, hire: Callable[[int], WorkerHand], count: int) -> None:
        self._hire, self._count = hire, count
        self._line: Line[WorkerHand] = Line()
        self._lock = threading.Lock()
        self._team: dict[str, _Member] = {}
        self._first: Facts | None = None
        self._closed = False

    def open(self) -> Pool:
        """Hires all workers at once and waits for them; those that cannot be had are left out, and the log says why.

        Raises WorkersDiffer, NoWorkers where none came, and what keeps a model from being loaded.
        """
        failures: list[Exception] = []
        self._line.expect(self._count)
        threads = [
            threading.Thread(target=self._seek, args=(number, 1, failures), name="hire", daemon=True)
            for number in range(self._count)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
            if serious := [error for error in failures if not isinstance(error, WorkerLost)]:
                raise serious[0]
            if not self._team:
                raise NoWorkers(f"no worker could be had: {failures[0]}")
        except BaseException:
            self.close()
            raise
        return self

    @property
    def size(self) -> int:
        """Workers that there are or that are on their way."""
        return max(1, self._line.size)

    @property
    def facts(self) -> Sequence[Facts]:
        with self._lock:
            return tuple(member.facts for member in self._team.values())

    def run(self, task: WorkTask, stop: threading.Event, before: str = "") -> Iterator[Any]:
        """Waiting, Given, the task's news and, last, what came of it.

        Raises WorkLost, NoWorkers, Cancelled and what the task raises.
        """
        lost: list[str] = []
        while len(lost) < TRIES:
            for worker in self._line.lend(stop, before):
                if isinstance(worker, Waiting):
                    yield worker
            assert not isinstance(worker, Waiting)
            try:
                yield GivenTask(worker.name)
                yield from self._done_by(worker, task, stop)
                return
            except WorkerLost as error:
                lost.append(f"{worker.name}: {error}")
                log.warning("a worker was lost, its task goes to another: %s", lost[-1])
        raise WorkLost(f"given to {TRIES} workers, each of which was lost ({'; '.join(lost)})")

    def close(self) -> None:
        """Ends all workers, whatever they do; who waits for one or follows one is told so."""
        with self._lock:
            self._closed = True
            team, self._team = [member.hand for member in self._team.values()], {}
        self._line.close(CLOSED)
        for hand in team:
            hand.end()

    def _done_by(self, worker: WorkerHand, task: WorkTask, stop: threading.Event) -> Iterator[Any]:
        """The task's news; afterwards the worker is free again, however this ends, or replaced where it was lost."""
        following, lost = _Following(worker, task, stop), False
        try:
            yield from following.news()
        except WorkerLost:
            lost = True
            raise
        finally:
            if lost or not following.wound_up():
                self._replace(worker)
            else:
                self._line.give_back(worker)

    def _replace(self, worker: WorkerHand) -> None:
        with self._lock:
            member = self._team.pop(worker.name, None)
            seeking = member is not None and not self._closed
        if member is not None and seeking:
            self._line.expect()
            again = partial(self._seek, member.number, HIRES, [])
            threading.Thread(target=again, name="hire", daemon=True).start()
        self._line.lose(worker)
        worker.end()

    def _seek(self, number: int, tries: int, failures: list[Exception]) -> None:
        """Has a worker arrive, or tells the line why it does not."""
        failure: Exception = WorkerLost(CLOSED)
        for _ in range(tries):
            try:
                self._welcome(self._hire(number), number)
                return
            except WorkerLost as error:
                failure = error
            # What is wrong now will be wrong at the next try.
            except Exception as error:
                failure = error
                break
        log.warning("a worker did not come: %s", failure)
        failures.append(failure)
        self._line.stay_away(str(failure))

    def _welcome(self, worker: WorkerHand, number: int) -> None:
        """Raises WorkersDiffer for one that would draw other pictures, WorkerLost."""
        try:
            facts = worker.facts()
            with self._lock:
                if self._closed:
                    raise WorkerLost(CLOSED)
                check_alike(self._first or facts, facts)
                self._first = self._first or facts
                self._team[worker.name] = _Member(number, worker, facts)
        except Exception:
            worker.end()
            raise
        self._line.arrive(worker)


@dataclass(frozen=True)
class _Member:
    number: int
    hand: WorkerHand
    facts: Facts


class _Following:
    """One task at one worker."""

    def __init__(self, worker: WorkerHand, task: WorkTask, stop: threading.Event) -> None:
        self._worker, self._task, self._stop = worker, task, stop
        self._name, self._heard, self._over = uuid4().hex, 0, False
        self._until: float | None = None

    def news(self) -> Iterator[Any]:
        """All of it and, last, what came of it. Raises WorkerLost, and what the task raises."""
        batch = self._worker.work(self._name, self._task, POLL_S)
        while True:
            self._heard, self._over = self._heard + len(batch.items), batch.over
            yield from batch.items
            if batch.error is not None:
                raise batch.error
            if batch.over:
                return
            if self._stop.is_set():
                self._tell_to_stop()
            batch = self._worker.more(self._name, self._heard, POLL_S)

    def wound_up(self) -> bool:
        """Ends a task that nobody follows any more; false where the worker is lost by then, or does not stop."""
        try:
            while not self._over:
                self._tell_to_stop()
                batch = self._worker.more(self._name, self._heard, POLL_S)
                self._heard, self._over = self._heard + len(batch.items), batch.over
        except WorkerLost:
            return False
        return True

    def _tell_to_stop(self) -> None:
        """Raises WorkerLost for a worker that was told long ago."""
        if self._until is None:
            self._until = monotonic() + STOPPING_S
            self._worker.stop(self._name)
        elif monotonic() > self._until:
            raise WorkerLost(f"did not stop within {STOPPING_S:.0f} s")
