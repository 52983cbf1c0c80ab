"""The search for plans on any model: what it costs is told before, it stops at once, goes on, and is never over."""

from __future__ import annotations

import html
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.calibration.subject import Subject
from hgc.cli.optimize import UNTIMED
from hgc.refused import Refused
from hgc.results.comparison import Cancelled
from hgc.spread.plan_cost import cost_of, cost_words
from hgc.spread.plan_search import Search, SearchAt
from hgc.studio.studio import Studio
from hgc.ui.schedules.rungs import shares_of
from hgc.ui.schedules.search import ELSEWHERE, SearchEvents

FEW = Search(Subject("sdxl-union", "segmentation", "euler", 4, 5.0), (0.6,), tries=3, scenes=2, side=64)


@pytest.mark.usefixtures("on_small_hub")
def test_a_stopped_search_goes_on_where_it_was_and_costs_no_more_than_was_told() -> None:
    """On a Union network, whose maps are a list."""
    studio, stop, work = Studio.load("sdxl-union", "cpu"), threading.Event(), Path("work")
    cost = cost_of(FEW, studio)
    assert cost.pictures == pytest.approx((cost.table + 1 + 0.6 * 4) * 2 / 16**2)
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
    larger = replace(FEW, side=2 * FEW.side, tries=1)
    ((other, _),) = SearchAt(larger, studio, work).shelves()
    assert any(not np.array_equal(other.table.products[name], row) for name, row in shelf.table.products.items()), (
        "a table of larger cut-outs is another"
    )
    assert (shelf.table.scenes, shelf.table.drawings, shelf.drawings) == (2, 0, 1)


@pytest.mark.usefixtures("on_small_hub")
def test_plans_found_on_painted_scenes_alone_are_run_on_drawings_too() -> None:
    """Their figures are of other scenes: the search starts from them, with the table that they have."""
    studio = Studio.load("sdxl-union", "cpu")
    few = replace(FEW, tries=1)
    ((shelf, rung),) = SearchAt(few, studio, Path("work")).shelves()
    older = replace(shelf, drawings=0, rungs=(replace(rung, fidelity_db=99.0),))
    ((found, again),) = SearchAt(few, studio, Path("work")).shelves(older)
    assert found.drawings == 1
    assert found.table is older.table
    assert again.fidelity_db < 99
    assert found.rungs == (again,)


@pytest.mark.parametrize(("words", "shares"), [("20, 36.8", (0.2, 0.368)), ("50%;50 ,", (0.5,)), ("", ())])
def test_budgets_are_read_as_percentages(words: str, shares: tuple[float, ...]) -> None:
    assert shares_of(words) == shares


@pytest.mark.parametrize("words", ["half", "20 30", "20,,x"])
def test_what_is_no_budget_is_said(words: str) -> None:
    with pytest.raises(Refused, match="percentages"):
        shares_of(words)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"budgets": tuple(n / 100 for n in range(1, 66))}, "budgets: 65 are too many for one search; 64 is the most"),
        ({"tries": 1_001}, "tries: 1,001 are too many"),
        ({"tries": 0}, "at least 1 plan"),
        ({"scenes": 65}, "scenes: 65 are too many"),
        ({"side": 4096}, "side: 4,096 are too many"),
        ({"scenes": 1}, "too few to say how wide the error bar is"),
        ({"side": 100}, "choose a multiple of 64"),
        ({"budgets": (float("nan"),)}, "budget nan"),
        ({"budgets": ()}, "no budget is named"),
    ],
)
def test_a_search_has_bounds(changed: dict[str, Any], says: str) -> None:
    replace(FEW).check()
    with pytest.raises(Refused, match=says):
        replace(FEW, **changed).check()


def test_more_budgets_than_anybody_writes_are_refused() -> None:
    with pytest.raises(Refused, match="4,000 characters long"):
        shares_of("20, " * 1_000)


@pytest.mark.usefixtures("on_small_hub")
def test_only_who_sits_at_the_machine_searches() -> None:
    """Everybody's Optimised goes by what is found; what it would cost, anybody may know."""
    started: list[str] = []

    def studio() -> Studio:
        started.append("asked")
        return Studio.load("sdxl-union", "cpu")

    card = SimpleNamespace(told="told", pressing=SimpleNamespace(ready={}))
    playground = SimpleNamespace(runner=SimpleNamespace(loader=SimpleNamespace(studio=studio)))
    events = SearchEvents(cast(Any, card), cast(Any, playground))
    headers = {"host": "studio.example"}
    page: Any = SimpleNamespace(client=SimpleNamespace(host="10.0.0.5"), headers=headers, session_hash="far")
    asked = ("60", 5, 2, 64, "paint", "canny", "segmentation", 4, "euler", 5.0)
    events.note(page, "0123456789abcdef/1")
    (told,) = events.run(page, "0123456789abcdef/1", *asked)
    assert ELSEWHERE in html.unescape(told["told"])
    assert not started
    assert "at most" in events.price(*asked)


@pytest.mark.usefixtures("on_small_hub")
def test_the_shell_says_the_cost_before_it_starts() -> None:
    """The same words as the page's, before anything is run."""
    options = ["--model", "sdxl-union", "--control", "edges", "--sampler", "euler", "--steps", "4", "--guidance", "5"]
    few = ["--budget", "0.6", "--tries", "1", "--scenes", "2", "--side", "64", "--device", "cpu", "--out", "plans.json"]
    ran = CliRunner().invoke(app, ["optimize", *options, *few])
    assert ran.exit_code == 0, ran.output
    search = Search(Subject("sdxl-union", "edges", "euler", 4, 5.0), (0.6,), tries=1, scenes=2, side=64)
    words = cost_words(search, cost_of(search, Studio.load("sdxl-union", "cpu")), UNTIMED)
    first = ran.stderr.splitlines()[0]
    assert first == f"sdxl-union, edges, euler, 4 steps, guidance 5: {words}"
    assert first.startswith("sdxl-union, edges, euler, 4 steps, guidance 5: at most ")
