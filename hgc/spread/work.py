"""Work that can be done here or elsewhere, and the places where it is done.

A task is plain data: a request as JSON, and what is asked of it. What comes of it depends on the weights alone, so that
it is the same wherever it is done, and may be begun again where a worker is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hgc.refused import Refused

if TYPE_CHECKING:
    from hgc.spread.desk import Desk
    from hgc.spread.facts import Facts

TRIES = 3  # workers that a task is given to, one after the other


class WorkerLost(Refused, RuntimeError):
    """A worker that ended, cannot be reached any more or has no memory left; its task may be done by another."""


class WorkLost(Refused, RuntimeError):
    """A task whose workers were lost, one after the other; the message says how."""


class NoWorkers(Refused, RuntimeError):
    """Nobody is left to do the work."""


@dataclass(frozen=True)
class Waiting:
    """A task waits for a worker: the `place`-th in the line, counted from 1; `eta_s` None where nobody can say."""

    place: int
    eta_s: float | None


@dataclass(frozen=True)
class GivenTask:
    """A task was given to this worker, anew where another was lost."""

    worker: str


class WorkTask(Protocol):
    """Something to be done with a loaded model."""

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[Any]:
        """News of it and, last, what came of it. Raises Cancelled at the next step once `stop` is set."""
        ...


class Place(Protocol):
    """Where tasks are done, `size` at once."""

    @property
    def size(self) -> int: ...

    @property
    def facts(self) -> Sequence[Facts]:
        """Those of each worker."""
        ...

    def run(self, task: WorkTask, stop: threading.Event, before: str = "") -> Iterator[Any]:
        """Waiting, Given, the task's news and, last, what came of it; by the worker named `before`, where it is free.

        Raises WorkLost, NoWorkers, Cancelled and what the task raises.
        """
        ...
