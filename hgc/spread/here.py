"""This process as the place of work: one task after the other, by its one worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hgc.spread.desk import Desk
from hgc.spread.facts import Facts, mixed
from hgc.spread.work import Place, WorkTask

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


class Here:
    """A studio as a place."""

    size = 1

    def __init__(self, studio: Studio) -> None:
        self._desk = Desk(studio)

    @cached_property
    def facts(self) -> Sequence[Facts]:
        return (self._desk.facts(),)

    def run(self, task: WorkTask, stop: threading.Event, before: str = "") -> Iterator[Any]:
        """The task's news and, last, what came of it."""
        yield from task.do(self._desk, stop)


def place_of(studio: Studio) -> Place:
    """Where the runs of a studio are done: its own place, or here."""
    return getattr(studio, "place", None) or Here(studio)


def kinds_told(studio: Studio) -> str:
    """In one sentence, that its runs were done by devices of several kinds; empty where they were not."""
    place: Place | None = getattr(studio, "place", None)
    return "" if place is None else mixed(place.facts)
