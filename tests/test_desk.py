"""A plan laid on the Schedules tab's grid: whose steps it has, how it is named, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from hgc import limits
from hgc.bench.paper import sd15
from hgc.cache.anatomy import State
from hgc.cache.plan import Plan
from hgc.cache.plan_edit import Ground
from hgc.cache.rehearsal import Unfounded
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules import HGC, full
from hgc.charts.plan_grid import PlanGrid
from hgc.request import Recipe
from hgc.studio.studio import Studio
from hgc.ui.schedules.desk import lay
from hgc.ui.schedules.plan_file import read_plan
from hgc.ui.schedules.plan_words import in_the_grids_words

GRID = PlanGrid(sd15())
LAST = GRID.anatomy.decoder[-2].name


def test_a_plan_of_ones_own_brings_its_steps_and_nothing_of_what_was_asked_for(studio: Studio) -> None:
    asked = Recipe(steps=12, budget=0.5)
    assert lay(studio, asked).draft.plan == studio.plan(asked)
    own = HGC().plan(studio.anatomy(), 8)
    desk = lay(studio, asked, own)
    assert desk.draft.plan == own
    assert (desk.recipe.steps, desk.recipe.budget, desk.recipe.plan) == (8, None, None)
    assert studio.plan(desk.planned) == own


def test_a_plan_that_cannot_run_is_not_laid(studio: Studio) -> None:
    other = full(sd15(), 8)
    with pytest.raises(PlanRefused):
        lay(studio, Recipe(), Plan(other.origin, 8, other.model, {"nowhere": "C" * 8}))


def test_a_row_that_there_is_not_is_refused_and_a_layer_is_its_own_row() -> None:
    assert list(GRID.sites_of(LAST)) == [LAST]
    with pytest.raises(PlanRefused, match="no row 'nowhere'"):
        GRID.sites_of("nowhere")


def test_refusals_name_rows_by_title_and_steps_from_one() -> None:
    title = GRID.title_of(LAST)
    assert in_the_grids_words(GRID, PlanRefused(f"{LAST} is fixed")).casefold().startswith(title.casefold())
    with pytest.raises(Unfounded) as refused:
        Ground(GRID.anatomy).play(Plan(full(GRID.anatomy, 4).origin, 4, GRID.anatomy.model, {LAST: "RCCC"}))
    assert refused.value.state is State.REUSED
    words = in_the_grids_words(GRID, refused.value)
    assert words == f"{title}, step 1: reusing needs a value computed before, and there is none"


def test_a_plan_comes_back_from_its_file_and_anything_else_is_refused(tmp_path: Path) -> None:
    plan, file = full(GRID.anatomy, 4), tmp_path / "plan.json"
    file.write_text(plan.to_json())
    assert read_plan(str(file)) == plan
    for content, says in (
        (b"\xff\xfe\x00", "not text"),
        (b"[]", "not a plan"),
        (b" " * (limits.PLAN_BYTES + 1), "bytes"),
    ):
        file.write_bytes(content)
        with pytest.raises(PlanRefused, match=says):
            read_plan(str(file))
    with pytest.raises(PlanRefused, match="no file"):
        read_plan(None)
