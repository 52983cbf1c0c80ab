"""Ray as a place of work. It is an extra, `pip install hgc-studio[ray]`.

A cluster of its own on this machine, or one that is there already.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from importlib.util import find_spec
from time import sleep
from typing import Any

from hgc.refused import Refused
from hgc.spread.connection import Connection
from hgc.spread.ray_worker import RayHand, Team, hire
from hgc.spread.work import WorkerLost

log = logging.getLogger(__name__)

LOCAL = "local"  # Ray's word for a cluster of this program's own
LOOK_S = 0.1  # how often the cluster's life is looked at
CLIENT = "ray://"  # addresses of clusters that are reached from outside
INSTALL = "`pip install hgc-studio[ray]`, or `pip install ray[client]`"
USAGE = "RAY_USAGE_STATS_ENABLED"  # what Ray reports to its makers
# Where a client's cluster is gone, the next call would begin a cluster on this machine. Ray reads this when imported.
AUTOMATIC = "RAY_ENABLE_AUTO_CONNECT"


def end_in_order() -> None:
    """Has a termination end this program as Ctrl-C does, so that what it began ends at once and with it.

    Ray's agents take a minute to notice that they were left alone. Only the main thread can arrange that.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


class NoCluster(Refused, RuntimeError):
    """Ray is not installed, or there is no cluster where one was named."""


class Cluster:
    """Ray as long as it is used here. Raises NoCluster.

    A thread of its own keeps it, because the processes of a cluster on this machine end with the thread that began
    them; so they do, however this process ends. Where they end before, a cluster of this machine's own is begun again.
    """

    def __init__(self, address: str = LOCAL, cores: int | None = None) -> None:
        self._ray = _installed()
        self._client = address.startswith(CLIENT)
        if self._client and find_spec("grpc") is None:
            raise NoCluster(f"{address} needs Ray's client, which is not installed here: {INSTALL}")
        end_in_order()
        self._address, self._cores = address, cores
        self._settled, self._closed = threading.Event(), threading.Event()
        self._connection: Connection | None = None
        self._failure: BaseException | None = None
        self._keeper = threading.Thread(target=self._keep, name="ray", daemon=True)
        self._keeper.start()
        self._settled.wait()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            why = " ".join(str(self._failure).split())[:300]
            raise NoCluster(
                f"no Ray cluster at {self._address} ({why}): start one with `ray start --head`, or say --on ray for "
                "one of this machine's own"
            ) from self._failure

    def hire(self, team: Team, number: int) -> RayHand:
        """Begins a worker. Raises WorkerLost."""
        return hire(self._current(), team, number, self._devices(team))

    def places(self, team: Team) -> int:
        """How many workers there is room for."""
        resources = self._resources()
        room = resources.get("GPU", 0) if self._accelerated(team) else resources.get("CPU", 0) // team.threads
        return max(1, int(room))

    def close(self) -> None:
        """Ends what was begun here and waits for that."""
        self._closed.set()
        self._keeper.join()

    def _devices(self, team: Team) -> dict[str, int]:
        return {"num_cpus": 0, "num_gpus": 1} if self._accelerated(team) else {"num_cpus": team.threads}

    def _accelerated(self, team: Team) -> bool:
        return team.device != "cpu" and self._resources().get("GPU", 0) > 0

    def _resources(self) -> dict[str, float]:
        with self._current().use() as ray:
            return ray.cluster_resources()

    def _current(self) -> Connection:
        """Waits for a cluster that is begun again. Raises WorkerLost where there is none any more."""
        while True:
            self._settled.wait()
            connection = self._connection
            if connection is None:
                raise WorkerLost("the cluster is gone")
            if not connection.lost:
                return connection
            sleep(LOOK_S)

    def _keep(self) -> None:
        os.environ.setdefault(USAGE, "0")
        logging.getLogger("ray").setLevel(logging.ERROR)
        while self._connect() and not self._ended() and self._address == LOCAL:
            log.warning("Ray's processes on this machine ended; they are begun again")
        self._settled.set()

    def _connect(self) -> bool:
        """Whether there is a cluster now; else the failure is kept."""
        quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
        here = {"num_cpus": self._cores, "include_dashboard": False} if self._address == LOCAL else {}
        try:
            self._ray.init(address=self._address, **here, **quiet)
            self._connection = Connection(self._ray, client=self._client)
        # Whatever it is, it is told to whoever asked.
        except BaseException as error:
            self._failure = error
            self._ray.shutdown()
        self._settled.set()
        return self._failure is None

    def _ended(self) -> bool:
        """Waits until this is closed (true) or the cluster gone (false), and leaves it."""
        connection = self._connection
        assert connection is not None
        while not (closed := self._closed.wait(LOOK_S)) and not connection.lost:
            pass
        self._settled.clear()
        self._connection = None
        connection.close()
        return closed


def _installed() -> Any:
    os.environ.setdefault(AUTOMATIC, "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise NoCluster(f"Ray is not installed here: {INSTALL}") from error
    return ray
