"""Ray, as long as the process of its own that this program talks to lives.

Ray ends a program whose local process (the "raylet") was killed, without a word and past every `except`, as soon as the
program calls it again. So nothing here calls it again: all calls are made inside `use`, and `close` waits for them.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from hgc.spread.work import WorkerLost

log = logging.getLogger(__name__)

SHARE_S = 0.1  # the longest call while that process may go; Ray ends a program about a second after it


class Connection:
    """One connection to a cluster, from `ray.init` to `close`.

    Through Ray's client no process of Ray's is needed here.
    """

    def __init__(self, ray: Any, *, client: bool = False) -> None:
        self._ray = ray
        self._process = None if client else _local_process(ray)
        self._calls, self._closed = 0, False
        self._changed = threading.Condition()

    @property
    def share_s(self) -> float | None:
        """The longest that a call may take in one go; None: as long as it likes."""
        return None if self._process is None else SHARE_S

    @property
    def lost(self) -> bool:
        """Ray's process on this machine has ended."""
        if self._process is None:
            return False
        try:
            return self._process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    @contextmanager
    def use(self) -> Iterator[Any]:
        """Ray, for one call. Raises WorkerLost for its errors, and once this is closed or its process gone."""
        with self._changed:
            if self._closed or self.lost:
                raise WorkerLost("the cluster is gone")
            self._calls += 1
        try:
            with _understood(self._ray):
                yield self._ray
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Lets nobody in any more, waits for who is, and leaves the cluster."""
        with self._changed:
            self._closed = True
            # Through Ray's client a call may wait for minutes; the connection's end ends it.
            self._changed.wait_for(lambda: self._calls == 0, timeout=2 * SHARE_S if self.share_s is None else None)
        self._ray.shutdown()


@contextmanager
def _understood(ray: Any) -> Iterator[None]:
    """Ray's errors, as the loss of a worker. Those of a call that went wrong at the desk itself are let through."""
    try:
        yield
    except (ray.exceptions.GetTimeoutError, ray.exceptions.RayTaskError):
        raise
    # Of Ray, of gRPC or a plain ValueError for a closed channel.
    except Exception as error:
        raise WorkerLost(_loss(ray.exceptions, error)) from error


def _loss(errors: Any, error: Exception) -> str:
    if isinstance(error, errors.OutOfMemoryError):
        return "its machine had no memory left"
    if isinstance(error, errors.OutOfDiskError | errors.ObjectStoreFullError):
        return "its machine had no room left to hand over what it made: free some of its disk"
    if missing := re.search(r"No module named '([\w.]+)'", str(error)):
        return f"its machine has no module {missing[1]}: install HGC Studio and what it requires there"
    if isinstance(error, errors.RayError):
        log.info("%s", error)
        return "its process ended"
    details = getattr(error, "details", None)  # of gRPC
    why = str(details() if callable(details) else error)
    return f"the cluster is gone ({' '.join(why.split())[:200]})"


def _local_process(ray: Any) -> psutil.Process | None:
    node = ray.get_runtime_context().get_node_id()
    sockets = [each["RayletSocketName"] for each in ray.nodes() if each["NodeID"] == node]
    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] == "raylet" and any(socket in word for socket in sockets for word in words):
            return process
    log.info("Ray's process on this machine was not found")
    return None
