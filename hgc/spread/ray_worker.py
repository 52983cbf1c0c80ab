"""A worker on Ray: a desk in a process of its own, with the model loaded.

Everything goes by plain calls of an actor, which Ray's client (`ray://`) passes on as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from hgc.spread.connection import Connection
from hgc.spread.work import WorkerLost

if TYPE_CHECKING:
    from hgc.spread.desk import Desk, News
    from hgc.spread.facts import Facts
    from hgc.spread.work import WorkTask

LOADING_S = 600.0  # of a model, and of waiting for a device
ANSWER_S = 120.0  # a worker that answers nothing for so long is lost
CALLS = 8  # at once, of which one waits for news


@dataclass(frozen=True)
class Team:
    """All workers alike: what each loads, and the threads that it computes with on a CPU."""

    model: str
    device: str | None = None
    dtype: str | None = None
    graphs: bool = False
    threads: int = 1


class DeskActor:
    """The worker's side. Its threads are said before torch is imported there."""

    def __init__(self, team: Team) -> None:
        os.environ["OMP_NUM_THREADS"] = str(team.threads)
        self._team = team
        self._desk: Desk | None = None

    def load(self) -> Facts | Exception:
        """The facts of the desk, or why the model cannot be loaded."""
        import torch

        from hgc.spread.desk import Desk, sendable
        from hgc.studio.studio import Studio

        torch.set_num_threads(self._team.threads)
        try:
            studio = Studio.load(self._team.model, self._team.device, self._team.dtype)
            studio.record_steps(self._team.graphs)
            self._desk = Desk(studio)
            return self._desk.facts()
        except Exception as error:
            return sendable(error)

    def work(self, name: str, task: WorkTask, patience_s: float) -> News:
        assert self._desk is not None
        return self._desk.work(name, task, patience_s)

    def more(self, name: str, heard: int, patience_s: float) -> News:
        assert self._desk is not None
        return self._desk.more(name, heard, patience_s)

    def stop(self, name: str) -> None:
        assert self._desk is not None
        self._desk.stop(name)

    def process(self) -> int:
        """The number of its process."""
        return os.getpid()


class RayHand:
    """Our side of a worker. `actor` is Ray's handle of a DeskActor."""

    def __init__(self, connection: Connection, actor: Any, number: int) -> None:
        self._connection, self._actor = connection, actor
        self.name = f"worker {number + 1} ({actor._actor_id.hex()[:8]})"

    def facts(self) -> Facts:
        facts = self._answer(lambda: self._actor.load.remote(), LOADING_S)
        if isinstance(facts, Exception):
            raise facts
        return facts

    def work(self, name: str, task: WorkTask, patience_s: float) -> News:
        return self._answer(lambda: self._actor.work.remote(name, task, patience_s))

    def more(self, name: str, heard: int, patience_s: float) -> News:
        return self._answer(lambda: self._actor.more.remote(name, heard, patience_s))

    def stop(self, name: str) -> None:
        self._answer(lambda: self._actor.stop.remote(name))

    def process(self) -> int:
        """The number of its process."""
        return int(self._answer(lambda: self._actor.process.remote()))

    def end(self) -> None:
        with suppress(Exception), self._connection.use() as ray:  # it is gone already, or all of Ray is
            ray.kill(self._actor)

    def _answer(self, call: Callable[[], Any], patience_s: float = ANSWER_S) -> Any:
        with self._connection.use():
            called = call()
        until = monotonic() + patience_s
        while (left := until - monotonic()) > 0:
            share_s = min(left, self._connection.share_s or left)
            with self._connection.use() as ray, suppress(ray.exceptions.GetTimeoutError):
                return ray.get(called, timeout=share_s)
        raise WorkerLost(f"no answer within {patience_s:.0f} s")


def hire(connection: Connection, team: Team, number: int, devices: dict[str, int]) -> RayHand:
    """Begins a worker with these devices. Raises WorkerLost."""
    with connection.use() as ray:
        hired = ray.remote(max_concurrency=CALLS, max_restarts=0, **devices)(DeskActor)
        return RayHand(connection, hired.remote(team), number)
