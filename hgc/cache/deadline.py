"""The time that planning may take, whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time

from hgc.refused import Refused

PLANNING_S = 30.0  # of one core; the slowest plan within hgc.limits, Optimised in 200 steps, takes 19


class TooLong(Refused, ValueError):
    """Planning that took longer than it may."""


_deadline: ContextVar[float | None] = ContextVar("planning ends at", default=None)


@contextmanager
def planning(limit_s: float = PLANNING_S) -> Iterator[None]:
    """Everything that is planned inside has so much time in all; the outermost of several counts. Raises TooLong."""
    if _deadline.get() is not None:
        yield
        return
    mark = _deadline.set(thread_time() + limit_s)
    try:
        yield
    finally:
        _deadline.reset(mark)


def check_time() -> None:
    """Called by what planning does over and over. Raises TooLong."""
    deadline = _deadline.get()
    if deadline is not None and thread_time() > deadline:
        raise TooLong("planning took longer than is allowed here: ask for fewer steps or another method")
