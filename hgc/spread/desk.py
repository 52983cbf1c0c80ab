"""A loaded model that does tasks for somebody elsewhere, who asks for the news of each."""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from hgc.refused import Refused
from hgc.results.comparison import Cancelled
from hgc.spread.facts import Facts
from hgc.spread.work import WorkerLost, WorkTask

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

SHARED_KEPT = 4  # of what the tasks of one piece of work share


T = TypeVar("T")


class Elsewhere(RuntimeError, Refused):
    """An error at a worker that cannot be sent itself."""


@dataclass(frozen=True)
class News:
    """The news since one asked last; `over` when no more will come, after `error` if there is one."""

    items: tuple[Any, ...]
    over: bool
    error: Exception | None = None


@dataclass
class _Job:
    """A task under way; `changed` guards all of it."""

    stop: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    news: list[Any] = field(default_factory=list)
    over: bool = False
    error: Exception | None = None

    def after(self, heard: int, patience_s: float) -> News:
        """The news after the first `heard`, waited for so long."""
        with self.changed:
            self.changed.wait_for(lambda: self.over or len(self.news) > heard, patience_s)
            items = tuple(self.news[heard:])
            # What was heard is not asked for again, and a preview is large.
            self.news[:heard] = [None] * min(heard, len(self.news))
            return News(items, self.over, self.error)


class Desk:
    """Tasks by the names that their owners gave them; safe to ask from several threads."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._shared: OrderedDict[Hashable, Any] = OrderedDict()

    def facts(self) -> Facts:
        return Facts.of(self.studio)

    def shared(self, name: Hashable, make: Callable[[], T]) -> T:
        """Values that the tasks of one piece of work share, made by the first of them; the latest few are kept."""
        with self._lock:
            if name in self._shared:
                self._shared.move_to_end(name)
                return self._shared[name]
        made = make()
        with self._lock:
            self._shared[name] = made
            while len(self._shared) > SHARED_KEPT:
                self._shared.popitem(last=False)
        return made

    def work(self, name: str, task: WorkTask, patience_s: float) -> News:
        """Begins a task; its first news, waited for so long."""
        with self._lock:
            job = self._jobs[name] = _Job()
        threading.Thread(target=self._do, args=(job, task), name="task", daemon=True).start()
        return self.more(name, 0, patience_s)

    def more(self, name: str, heard: int, patience_s: float) -> News:
        """The news after the first `heard`. A task that is over is forgotten once that was told."""
        with self._lock:
            job = self._jobs.get(name)
        if job is None:
            return News((), True, WorkerLost("this worker was begun anew meanwhile"))
        batch = job.after(heard, patience_s)
        if batch.over:
            with self._lock:
                self._jobs.pop(name, None)
        return batch

    def stop(self, name: str) -> None:
        """The task is to end at its next step."""
        with self._lock:
            job = self._jobs.get(name)
        if job is not None:
            job.stop.set()

    def _do(self, job: _Job, task: WorkTask) -> None:
        error: Exception | None = None
        try:
            for news in task.do(self, job.stop):
                with job.changed:
                    job.news.append(news)
                    job.changed.notify_all()
        # Whatever it is, it is told to the task's owner.
        except Exception as raised:
            error = sendable(raised)
        with job.changed:
            job.over, job.error = True, error
            job.changed.notify_all()


def sendable(error: Exception) -> Exception:
    """The error, or one that says the same where it could not be sent; no memory is a matter of the worker."""
    from torch import OutOfMemoryError

    if isinstance(error, MemoryError | OutOfMemoryError):
        return WorkerLost(f"out of memory ({' '.join(str(error).split())[:200]})")
    error.__traceback__ = error.__cause__ = error.__context__ = None
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:
        again = None
    if type(again) is type(error) and str(again) == str(error):
        return error
    if isinstance(error, Refused | Cancelled):
        return Elsewhere(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")
