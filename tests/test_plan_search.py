"""The search for plans on any model: what it costs is told before, it stops at once, goes on, and is never over."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hgc.calibration.subject import Subject
from hgc.refused import Refused
from hgc.results.comparison import Cancelled
from hgc.spread.plan_search import Search, SearchAt, cost_of
from hgc.studio.studio import Studio
from hgc.ui.schedules.search import shares_of

FEW = Search(Subject("sdxl-union", "segmentation", "euler", 4, 5.0), (0.6,), tries=3, scenes=2, side=64)


@pytest.mark.usefixtures("on_small_hub")
def test_a_stopped_search_goes_on_where_it_was_and_costs_no_more_than_was_told() -> None:
    """On a Union network, whose maps are a list."""
    studio, stop, work = Studio.load("sdxl-union", "cpu"), threading.Event(), Path("work")
    cost = cost_of(FEW, studio)
    assert cost.pictures == pytest.approx((cost.table + 0.6 * 4) * 2 / 16**2)
    assert cost.time_ms is None
    made: list[int] = []

    def at(now: int, most: int) -> None:
        assert now <= most
        made.append(now)
        if now == 5:
            stop.set()

    with pytest.raises(Cancelled):
        list(SearchAt(FEW, studio, work, at=at, stop=stop).shelves())
    stop.clear()
    made.clear()
    ((shelf, rung),) = SearchAt(FEW, studio, work, at=lambda now, most: made.append(now)).shelves()
    assert len(made) <= cost.runs - 5 + 2, "what was run before is not run again"
    assert rung in shelf.rungs
    assert rung.share <= 0.6
    assert rung.tried <= FEW.tries
    made.clear()
    ((_, same),) = SearchAt(FEW, studio, work, at=lambda now, most: made.append(now)).shelves()
    assert same == rung
    assert made == [cost.table], "all was run before"


@pytest.mark.parametrize(("words", "shares"), [("20, 36.8", (0.2, 0.368)), ("50%;50 ,", (0.5,)), ("", ())])
def test_budgets_are_read_as_percentages(words: str, shares: tuple[float, ...]) -> None:
    assert shares_of(words) == shares


@pytest.mark.parametrize("words", ["half", "20 30", "20,,x"])
def test_what_is_no_budget_is_said(words: str) -> None:
    with pytest.raises(Refused, match="percentages"):
        shares_of(words)
