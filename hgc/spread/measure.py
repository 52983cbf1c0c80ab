"""Calibration scenes measured wherever there are workers, and put together in their order: the same sums to the bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hgc.calibration.measure import MeasuredScene
from hgc.calibration.subject import Subject
from hgc.results.comparison import Cancelled
from hgc.spread.together import in_order, together
from hgc.spread.work import Place, WorkLost
from hgc.studio.calibrating import scenes_of

if TYPE_CHECKING:
    from hgc.calibration.measure import Each
    from hgc.spread.desk import Desk


@dataclass(frozen=True)
class MeasureScene:
    """One full run of a painted scene, measured."""

    subject: Subject
    number: int
    longest: int

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[MeasuredScene]:
        """The measured scene."""
        yield from scenes_of(desk.studio, self.subject, self.longest, stop)([self.number])


def scenes_at(place: Place, subject: Subject, longest: int, stop: threading.Event) -> Each:
    """Scenes measured at a place. Raises Cancelled once `stop` is set, and WorkLost: none can be left out."""

    def each(numbers: Sequence[int]) -> Iterator[MeasuredScene]:
        left, early = list(numbers), dict[int, MeasuredScene]()
        tasks = [MeasureScene(subject, number, longest) for number in numbers]
        for task, news in together(place, in_order(tasks), stop):
            if isinstance(news, WorkLost):
                raise news
            if isinstance(news, MeasuredScene):
                early[task.number] = news
            while left and left[0] in early:
                yield early.pop(left.pop(0))
        if left:
            raise Cancelled("stopped; the scenes before are kept")

    return each
