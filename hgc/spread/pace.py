"""How fast many tasks are done, and how long the rest will take at the pace so far."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hgc.spread.work import Place


class WorkPace:
    """Of so many pictures, scenes or runs that are still to be made at a place."""

    def __init__(self, place: Place, left: int) -> None:
        self._place, self._left, self._made = place, left, 0
        self._begun = perf_counter()

    def after(self, made: int = 1) -> str:
        """In words, once so many more are there."""
        self._made, self._left = self._made + made, max(self._left - made, 0)
        spent_s = max(perf_counter() - self._begun, 1e-3)
        workers = f"{self._place.size} workers, " if self._place.size > 1 else ""
        left_s = spent_s / self._made * self._left
        return f"{workers}{60 * self._made / spent_s:.1f} a minute, {left_s:.0f} s left"
