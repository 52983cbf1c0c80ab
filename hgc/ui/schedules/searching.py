"""A search for plans under way: how far it is, and what it has found and kept so far."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hgc.charts.quantity import duration
from hgc.planning import optimised
from hgc.request import RequestRefused

if TYPE_CHECKING:
    from hgc.optimise.shelf import Rung, Shelf
    from hgc.spread.plan_search import Search
    from hgc.studio.studio import Studio

LOOK_S = 0.5
LENT = "Here an accelerator is lent for each run, not for a search: search with `hgc optimize` on a machine of yours."


@dataclass(frozen=True)
class Now:
    words: str
    share: float


@dataclass
class Searching:
    """A search under way in a thread of its own; each run waits for the model, so that others' are made between."""

    search: Search
    studio: Studio
    stop: threading.Event
    found: list[Rung] = field(default_factory=list)

    def news(self) -> Iterator[Now]:
        """How far it is, now and then; what was found is kept before it is told. Raises Cancelled."""
        if self.studio.lent:
            raise RequestRefused(LENT)
        queue: SimpleQueue[Any] = SimpleQueue()
        worker = threading.Thread(target=self._work, args=(queue,), name="search plans", daemon=True)
        begun, first = perf_counter(), None
        worker.start()
        yield Now("Looking at what is kept.", 0)
        while True:
            try:
                news = queue.get(timeout=LOOK_S)
            except Empty:
                continue
            if news is None:
                return
            if isinstance(news, Exception):
                raise news
            made, most = news
            first = made if first is None else first
            left = (perf_counter() - begun) / (made - first) * (most - made) if made > first else None
            yield Now(_words(made, most, left), made / most)

    def _work(self, queue: SimpleQueue[Any]) -> None:
        from hgc.spread.plan_search import SearchAt

        try:
            at = SearchAt(self.search, self.studio, at=lambda made, most: queue.put((made, most)), stop=self.stop)
            out = Path(optimised.OWN) / f"{self.search.subject.name}.json"
            for shelf, rung in at.shelves(self._before(out, at), self._beside()):
                shelf.write(out)
                optimised.shelves.cache_clear()
                self.found.append(rung)
            queue.put(None)
        except Exception as error:
            queue.put(error)

    def _before(self, out: Path, at: Any) -> Shelf | None:
        """The plans made here for these settings, on whichever weights; else those that come with Studio."""
        from hgc.optimise.shelf import Shelf

        if out.exists():
            shelf = Shelf.read(out)
            measured = replace(shelf.table.subject, guidance=self.search.subject.guidance)
            return shelf if measured == self.search.subject else None
        return next((shelf for shelf in optimised.shelves(optimised.PLANS) if at.knows(shelf)), None)

    def _beside(self) -> tuple[Rung, ...]:
        """Plans of the same number of steps kept for what is most alike, to start from as well."""
        subject = self.search.subject
        kept = [*optimised.shelves(Path(optimised.OWN).absolute()), *optimised.shelves(optimised.PLANS)]
        alike = min(kept, key=lambda shelf: optimised.distance(shelf.table.subject, subject), default=None)
        return () if alike is None or alike.table.subject.steps != subject.steps else alike.rungs


def _words(made: int, most: int, left_s: float | None) -> str:
    words = f"{made} of at most {most} runs"
    return words if not left_s else f"{words}, about {duration(left_s)} left"
