"""Plans edited by hand: what may be entered, what a click means, undo and redo; on the published shapes of SD 1.5."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgc.bench.paper import sd15
from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, UNGUIDED, State
from hgc.cache.origin import Origin
from hgc.cache.plan import Action, Plan
from hgc.cache.plan_edit import Draft, Ground, action_named, edited
from hgc.cache.rehearsal import Unfounded, rehearse
from hgc.cache.rules import ForecastRule, PlanRefused, Weighing

STEPS = 6
ANATOMY = sd15()
GROUND = Ground(ANATOMY)
PLAIN = schedules.full(ANATOMY, STEPS)
# The last layer of the decoder and one in the middle of the U: whatever lies between is dead when the first is kept.
LAST, DEEP = ANATOMY.decoder[-2].name, ANATOMY.decoder[2].name
NAMES = [site.name for site in ANATOMY if not site.constant]


def state(plan: Plan, site: str, step: int) -> State:
    return rehearse(plan, ANATOMY).steps[step][site]


def test_a_click_goes_round_through_what_can_be_run() -> None:
    seen, plan = [], PLAIN
    for _ in range(3):
        plan = edited(plan, GROUND, [([LAST], 3)])
        seen.append(state(plan, LAST, 3))
    assert seen == [State.REUSED, State.FORECAST, State.COMPUTED]
    assert plan.table == PLAIN.table, "once round, nothing is left behind"


def test_a_line_through_one_value_is_passed_over() -> None:
    """In the second step there is one value: it can be reused, and a forecast that needs two is skipped."""
    kept = edited(PLAIN, GROUND, [([LAST], 1)])
    assert state(kept, LAST, 1) is State.REUSED
    assert edited(kept, GROUND, [([LAST], 1)]).table == PLAIN.table
    with pytest.raises(Unfounded, match="needs 2 computed") as refused:
        edited(kept, GROUND, [([LAST], 1)], Action.FORECAST)
    assert (refused.value.site, refused.value.step, refused.value.found) == (LAST, 1, 1)


@pytest.mark.parametrize("action", [None, Action.REUSE, Action.FORECAST])
def test_the_first_step_can_only_compute(action: Action | None) -> None:
    for site in (LAST, PREDICTION, UNGUIDED):
        with pytest.raises(Unfounded):
            edited(PLAIN, GROUND, [([site], 0)], action)
        assert edited(PLAIN, GROUND, [([site], 0)], Action.COMPUTE) == PLAIN


def test_what_nobody_needs_has_nothing_to_decide() -> None:
    plan = edited(PLAIN, GROUND, [([LAST], 3)])
    assert state(plan, DEEP, 3) is State.DEAD
    with pytest.raises(PlanRefused, match=rf"step 4 needs nothing here: its output is not used: {LAST} is kept"):
        edited(plan, GROUND, [([DEEP], 3)])
    whole = edited(PLAIN, GROUND, [([PREDICTION], 3)])
    with pytest.raises(PlanRefused, match="prediction"):
        edited(whole, GROUND, [([UNGUIDED], 3)])


def test_computing_one_computes_what_it_wakes() -> None:
    """The deep layer was to be continued along a line where it was asleep; it has one value, so it is computed."""
    rows = {LAST: "CRRCCC", DEEP: "CRFCCC"}
    plan = Plan(Origin("by hand"), STEPS, ANATOMY.model, rows)
    woken = edited(plan, GROUND, [([LAST], 2)])
    assert woken != plan
    woken = edited(plan, GROUND, [([LAST], 2)], Action.COMPUTE)
    assert state(woken, LAST, 2) is State.COMPUTED
    assert state(woken, DEEP, 2) is State.COMPUTED
    assert woken.table[DEEP] == "CRCCCC", "other steps are as they were"


def test_a_block_is_computed_whole_and_kept_where_somebody_asks() -> None:
    block = [site.name for site in ANATOMY.decoder if site.name.startswith("unet.up_blocks.3")]
    kept = edited(PLAIN, GROUND, [(block, 2), (block, 3)], Action.REUSE)
    assert all(state(kept, name, step) is not State.COMPUTED for name in block for step in (2, 3))
    again = edited(kept, GROUND, [(block, 2), (block, 3)])
    assert state(again, block[-1], 3) is State.FORECAST
    assert edited(again, GROUND, [(block, 2), (block, 3)], Action.COMPUTE).table == PLAIN.table


def test_taking_away_what_a_later_step_needs_is_refused() -> None:
    plan = Plan(Origin("by hand"), STEPS, ANATOMY.model, {LAST: "CCFFCC"})
    with pytest.raises(Unfounded) as refused:
        edited(plan, GROUND, [([LAST], 1)], Action.REUSE)
    assert (refused.value.step, refused.value.needed, refused.value.found) == (2, 2, 1)


def test_what_does_not_depend_on_the_step_is_computed_where_it_is_first_needed() -> None:
    constant = next(site.name for site in ANATOMY if site.constant)
    with pytest.raises(PlanRefused, match="for the first time"):
        edited(PLAIN, GROUND, [([constant], 0)])
    assert state(edited(PLAIN, GROUND, [([constant], 1)]), constant, 1) is State.REUSED


def test_without_guidance_there_is_no_branch_to_keep() -> None:
    with pytest.raises(PlanRefused, match="guidance is off"):
        edited(PLAIN, Ground(ANATOMY, guidance=False), [([UNGUIDED], 3)])


def test_actions_go_by_their_letters() -> None:
    assert [action_named(letter) for letter in ("C", "R", "F", None)] == [*Action, None]
    with pytest.raises(PlanRefused, match="unknown action 'X'"):
        action_named("X")


clicks = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, STEPS - 1), st.sampled_from([None, *Action])), max_size=8
)


@settings(max_examples=8)
@given(clicks)
def test_whatever_is_clicked_can_be_run_and_undone(pressed: list[tuple[str, int, Action | None]]) -> None:
    draft, history = Draft(PLAIN), [PLAIN]
    for site, step, action in pressed:
        before = draft
        try:
            draft = draft.put(edited(draft.plan, GROUND, [([site], step)], action))
        except PlanRefused:
            assert draft is before
        rehearse(draft.plan, ANATOMY)
        if draft.plan != history[-1]:
            history.append(draft.plan)
    undone = list(accumulate(history[1:], lambda at, _: at.undo(), initial=draft))
    assert [at.plan for at in undone] == history[::-1]
    redone = list(accumulate(history[1:], lambda at, _: at.redo(), initial=undone[-1]))
    assert [at.plan for at in redone] == history
    assert undone[-1].undo() == undone[-1]
    assert redone[-1].redo() == redone[-1]


def test_an_edit_gives_up_what_was_undone() -> None:
    first, second = (edited(PLAIN, GROUND, [([LAST], step)]) for step in (2, 3))
    draft = Draft(PLAIN).put(first).undo().put(second)
    assert draft.redo() == draft
    assert draft.undo().plan == PLAIN
    assert draft.put(second) is draft


def test_fitted_forecasts_follow_a_line_where_an_edit_leaves_them_without_weights() -> None:
    fitted = ForecastRule("weighted", weighings=(Weighing(2, (0, 1), (-0.5, 1.4)), Weighing(4, (1, 3), (0.2, 0.8))))
    plan = Plan(Origin("p"), STEPS, ANATOMY.model, {LAST: "CCFCFC"}, forecasts={LAST: fitted})
    more = edited(plan, GROUND, [([LAST], 2)], Action.COMPUTE)
    assert state(more, LAST, 2) is State.COMPUTED
    assert more.forecasts[LAST].weighing(4, (0, 1, 2, 3)) == Weighing(4, (2, 3), (-1.0, 2.0))
    fewer = edited(plan, GROUND, [([LAST], 1)], Action.REUSE)
    assert fewer.forecasts[LAST].weighing(2, (0,)) == Weighing(2, (0,), (1.0,))
    assert fewer.forecasts[LAST].weighing(4, (0, 3)) == Weighing(4, (0, 3), (-1 / 3, 4 / 3))
    assert edited(plan, GROUND, [([LAST], 5)], Action.REUSE).forecasts[LAST] == fitted


def test_an_edited_plan_says_so_once_and_keeps_what_made_it() -> None:
    made = Plan(Origin("hgc", {"lambda_inter": 0.5}, {"guidance": 2.0}), STEPS, ANATOMY.model)
    once = edited(made, GROUND, [([LAST], 3)], Action.REUSE)
    twice = edited(once, GROUND, [([LAST], 4)], Action.REUSE)
    assert once.origin == twice.origin == replace(made.origin, edited=True)
    assert twice.name == "hgc, carried over from guidance 2, not measured here, by hand"
    assert edited(made, GROUND, [([LAST], 3)], Action.COMPUTE) == made
