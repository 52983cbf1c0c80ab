"""Workers on Ray: a process a device, each with the model loaded. Ray is an extra, `pip install hgc-studio[ray]`.

A cluster of its own on this machine, or one that is there already. Everything goes by plain calls of an actor, which
Ray's client (`ray://`) passes on as well.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hgc.refused import Refused
from hgc.spread.work import WorkerLost

if TYPE_CHECKING:
    from hgc.spread.desk import Batch, Desk
    from hgc.spread.facts import Facts
    from hgc.spread.work import Task

log = logging.getLogger(__name__)

LOADING_S = 600.0  # of a model, and of waiting for a device
ANSWER_S = 120.0  # a worker that answers nothing for so long is lost
CALLS = 8  # at once, of which one waits for news
CLIENT = "ray://"  # addresses of clusters that are reached from outside
INSTALL = "`pip install hgc-studio[ray]`, or `pip install ray[client]`"
USAGE = "RAY_USAGE_STATS_ENABLED"  # what Ray reports to its makers


def end_in_order() -> None:
    """Has a termination end this program as Ctrl-C does, so that what it began ends at once and with it.

    Ray's agents take a minute to notice that they were left alone. Only the main thread can arrange that.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


class NoCluster(Refused, RuntimeError):
    """Ray is not installed, or there is no cluster where one was named."""


@dataclass(frozen=True)
class Team:
    """All workers alike: what each loads, and the threads that it computes with on a CPU."""

    model: str
    device: str | None = None
    dtype: str | None = None
    graphs: bool = False
    threads: int = 1


class DeskActor:
    """A desk in a process of its own. Its threads are said before torch is imported there."""

    def __init__(self, team: Team) -> None:
        os.environ["OMP_NUM_THREADS"] = str(team.threads)
        self._team = team
        self._desk: Desk | None = None

    def load(self) -> Facts | Exception:
        """What it works with, or why the model cannot be loaded."""
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

    def work(self, name: str, task: Task, patience_s: float) -> Batch:
        assert self._desk is not None
        return self._desk.work(name, task, patience_s)

    def more(self, name: str, heard: int, patience_s: float) -> Batch:
        assert self._desk is not None
        return self._desk.more(name, heard, patience_s)

    def stop(self, name: str) -> None:
        assert self._desk is not None
        self._desk.stop(name)

    def process(self) -> int:
        """The number of its process."""
        return os.getpid()


class RayHand:
    """A desk on Ray."""

    def __init__(self, ray: Any, actor: Any, number: int) -> None:
        self._ray, self._actor = ray, actor
        self.name = f"worker {number + 1} ({actor._actor_id.hex()[:8]})"

    def facts(self) -> Facts:
        facts = self._answer(self._actor.load.remote(), LOADING_S)
        if isinstance(facts, Exception):
            raise facts
        return facts

    def work(self, name: str, task: Task, patience_s: float) -> Batch:
        return self._answer(self._actor.work.remote(name, task, patience_s))

    def more(self, name: str, heard: int, patience_s: float) -> Batch:
        return self._answer(self._actor.more.remote(name, heard, patience_s))

    def stop(self, name: str) -> None:
        self._answer(self._actor.stop.remote(name))

    def process(self) -> int:
        """The number of its process."""
        return int(self._answer(self._actor.process.remote()))

    def end(self) -> None:
        with suppress(Exception):  # it is gone already, or all of Ray is
            self._ray.kill(self._actor)

    def _answer(self, called: Any, patience_s: float = ANSWER_S) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(called, timeout=patience_s)
        except errors.GetTimeoutError as error:
            raise WorkerLost(f"no answer within {patience_s:.0f} s") from error
        except errors.OutOfMemoryError as error:
            raise WorkerLost("its machine had no memory left") from error
        except (errors.OutOfDiskError, errors.ObjectStoreFullError) as error:
            raise WorkerLost("its machine had no room left to hand over what it made: free some of its disk") from error
        except errors.RayTaskError:
            raise  # of a call that went wrong at the desk itself
        except errors.RayError as error:
            log.info("%s: %s", self.name, error)
            raise WorkerLost("its process ended") from error
        except (ConnectionError, RuntimeError) as error:
            raise WorkerLost(f"the cluster is gone ({' '.join(str(error).split())[:200]})") from error


class Cluster:
    """Ray as long as it is used here. Raises NoCluster.

    A thread of its own keeps it, because the processes of a cluster on this machine end with the thread that began
    them; so they do, however this process ends.
    """

    def __init__(self, address: str = "local", cores: int | None = None) -> None:
        self._ray = _installed()
        if address.startswith(CLIENT) and find_spec("grpc") is None:
            raise NoCluster(f"{address} needs Ray's client, which is not installed here: {INSTALL}")
        end_in_order()
        self._address, self._cores = address, cores
        self._opened, self._closed = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._keeper = threading.Thread(target=self._keep, name="ray", daemon=True)
        self._keeper.start()
        self._opened.wait()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            why = " ".join(str(self._failure).split())[:300]
            raise NoCluster(
                f"no Ray cluster at {self._address} ({why}): start one with `ray start --head`, or say --on ray for "
                "one of this machine's own"
            ) from self._failure

    def hire(self, team: Team, number: int) -> RayHand:
        """Begins a worker."""
        devices = {"num_cpus": 0, "num_gpus": 1} if self._accelerated(team) else {"num_cpus": team.threads}
        hired = self._ray.remote(max_concurrency=CALLS, max_restarts=0, **devices)(DeskActor)
        try:
            return RayHand(self._ray, hired.remote(team), number)
        except Exception as error:
            raise WorkerLost(f"the cluster is gone ({' '.join(str(error).split())[:200]})") from error

    def places(self, team: Team) -> int:
        """How many workers there is room for."""
        there = self._ray.cluster_resources()
        room = there.get("GPU", 0) if self._accelerated(team) else there.get("CPU", 0) // team.threads
        return max(1, int(room))

    def close(self) -> None:
        """Ends what was begun here and waits for that."""
        self._closed.set()
        self._keeper.join()

    def _accelerated(self, team: Team) -> bool:
        return team.device != "cpu" and self._ray.cluster_resources().get("GPU", 0) > 0

    def _keep(self) -> None:
        os.environ.setdefault(USAGE, "0")
        logging.getLogger("ray").setLevel(logging.ERROR)
        quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
        here = {"num_cpus": self._cores, "include_dashboard": False} if self._address == "local" else {}
        try:
            self._ray.init(address=self._address, **here, **quiet)
        # Whatever it is, it is told to whoever asked.
        except BaseException as error:
            self._failure = error
        self._opened.set()
        if self._failure is None:
            self._closed.wait()
        self._ray.shutdown()


def _installed() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise NoCluster(f"Ray is not installed here: {INSTALL}") from error
    return ray
