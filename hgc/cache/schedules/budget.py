"""What a method may cost: of its choices the one of most compute within a share, and shares below its least."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TypeVar

from hgc.cache.rules import PlanRefused

ROUNDING = 1e-9
T = TypeVar("T")


class OutOfReach(PlanRefused):
    """A budget below what a method costs at least; `nearest` is that share of full compute."""

    def __init__(self, message: str, nearest: float) -> None:
        super().__init__(message)
        self.nearest = nearest


def most_within(share: float, choices: Sequence[T], cost: Callable[[T], float]) -> T:
    """The choice of most compute that costs at most `share`; `choices` run from the most compute to the least.

    Raises OutOfReach when even the last costs more.
    """
    if (least := cost(choices[-1])) > share + ROUNDING:
        raise OutOfReach(f"budget {share:.0%}: the cheapest plan costs {least:.1%} of full compute; choose more", least)
    return choices[bisect_left(choices, True, key=lambda choice: cost(choice) <= share + ROUNDING)]
