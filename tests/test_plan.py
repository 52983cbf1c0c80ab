"""Plans as data, the schedules that make them, and what follows from them: nothing here needs a model."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgc.bench.paper import sd15
from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind, State
from hgc.cache.anatomy.states import blame, states
from hgc.cache.origin import Origin
from hgc.cache.plan import Action, Plan
from hgc.cache.rehearsal import plan_macs, rehearse
from hgc.cache.rules import LINE, REPEAT, ForecastRule, FrequencySplit, Gate, PlanRefused, Verification

STEPS = 20
rows = st.text(alphabet="CRF", min_size=5, max_size=5)
forecasts = st.sampled_from(
    [REPEAT, LINE, ForecastRule("taylor", 2), ForecastRule("hermite", 2), ForecastRule("chebyshev", 2, window=4)]
) | st.builds(ForecastRule, st.just("scale_shift"), fitted=st.text("0123456789abcdef", min_size=12, max_size=12))
knobs = st.dictionaries(
    st.text(max_size=4),
    st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | st.text(max_size=4) | st.tuples(st.integers()),
    max_size=2,
)
origins = (
    st.builds(Origin, st.text(max_size=12), knobs, st.dictionaries(st.text(max_size=4), st.integers()), st.booleans())
    | st.builds(Origin, st.just("imported"), called=st.text(max_size=12))
    | st.builds(Origin, st.just("block_caching"), st.builds(dict, delta=st.floats(0, 9)), st.just({"guidance": 2.5}))
)
plans = st.builds(
    Plan,
    origins,
    st.just(5),
    st.just("any"),
    st.dictionaries(st.text(min_size=1, max_size=20), rows, max_size=6),
    fusion=st.sampled_from(["difference", "drop"]),
    forecast=forecasts,
    gate=st.none() | st.builds(Gate, st.floats(0.01, 5), st.integers(1, 9), st.booleans()),
    verification=st.none() | st.builds(Verification, st.floats(0, 9)),
)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return sd15()


@given(plans)
def test_a_plan_survives_json(plan: Plan) -> None:
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin("hgc", {"lambda_inter": 0.45, "gate_step": 16}), "hgc"),
        (Origin("encoder_propagation", {"keys": (0, 1)}), "encoder propagation"),
        (Origin("block_caching", {"delta": 0.21449}), "block caching δ=0.214"),
        (Origin("deepcache", {"interval": 3, "branch": 0, "centre": None}), "deepcache N=3"),
        (Origin("deepcache", {"interval": 3, "branch": 2, "centre": 5}), "deepcache N=3 around 5 branch 2"),
        (Origin("tgate", {"gate_step": 10}), "tgate m=10"),
        (Origin("fewer_steps", {"count": 7, "steps": 20}), "fewer steps: 7 of 20"),
        (Origin("optimised", {}, {"steps": 20}), "optimised, carried over from 20 steps, not measured here"),
        (Origin("hgc", {}, {"sampler": "ddim"}, True), "hgc, carried over from ddim, not measured here, by hand"),
        (Origin("imported", called="mine", edited=True), "mine, by hand"),
    ],
)
def test_a_plans_name_is_its_origin_in_words(origin: Origin, name: str) -> None:
    """Names are part of digests, which saved pictures carry: they do not change."""
    plan = Plan(origin, 4, "any", {"a": "CRCR"})
    assert plan.name == name
    before = {key: value for key, value in plan.as_dict().items() if key != "origin"}
    imported = Plan.from_dict(before)
    assert imported.origin == Origin("imported", called=name)
    assert (imported.name, imported.digest) == (name, plan.digest)
    assert Plan.from_dict(plan.as_dict()) == plan


def test_a_plan_that_somebody_renamed_is_imported() -> None:
    data = Plan(Origin("block_caching", {"delta": 0.25}), 2, "any").as_dict()
    assert Plan.from_dict(data | {"name": "mine"}).origin == Origin("imported", called="mine")


def test_what_is_forecast_by_site_and_how_guidance_is_weighed_survive_json() -> None:
    own = {"a": ForecastRule("chebyshev", 2, window=4), "b": REPEAT}
    split = FrequencySplit(low=(1, 1.1), high=(1.2, 1), radius=0.3)
    plan = Plan(Origin("both"), 2, "any", {"a": "CC", "b": "CF", "c": "CR"}, forecasts=own, split=split)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest
    assert [again.forecast_of(site) for site in "abc"] == [own["a"], REPEAT, LINE]


@given(plans, st.integers(0, 4))
def test_columns_are_the_table_turned(plan: Plan, step: int) -> None:
    for site in plan.table:
        assert plan.columns[step].get(site, Action.COMPUTE) == plan.table[site][step]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "invalid JSON at line 1"),
        ("[]", "not a plan: list"),
        ('{"name": "x"}', "without model, steps"),
        ('{"name": "x", "steps": 2, "model": "m", "speed": 9}', "unknown fields speed;"),
        ('{"name": "x", "steps": 2, "model": "m", "table": {"a": "C"}}', "site 'a': 1 actions, 2 steps"),
        ('{"name": "x", "steps": 2, "model": "m", "table": {"a": "CX"}}', "unknown action ['X']"),
        (
            '{"name": "x", "steps": 2, "model": "m", "fusion": "melt"}',
            "fusion 'melt'; known are difference, drop, average",
        ),
        ('{"name": "x", "steps": 0, "model": "m"}', "0 steps"),
        ('{"name": "x", "steps": 2, "model": "m", "table": 3}', "its table is not an object"),
        ('{"name": "x", "steps": 2, "model": "m", "gate": {"threshold": 0}}', "gate threshold 0"),
        ('{"name": "x", "steps": 2, "model": "m", "gate": {"foo": 1}}', "is malformed"),
        ('{"name": "x", "steps": 2, "model": "m", "gate": 3}', "is malformed"),
        ('{"name": "x", "steps": 2, "model": "m", "verification": {"threshold": 10}}', "verification threshold 10"),
        ('{"name": "x", "steps": 2, "model": "m", "verification": 0.2}', "is malformed"),
        ('{"name": "x", "steps": 2.0, "model": "m"}', "must be a whole number"),
        ('{"name": "x", "steps": 2, "model": "m", "order": 1}', "unknown fields order;"),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": {"order": true}}', "must be a whole number"),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": {"order": 3}}', "known are 1 and 2"),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": null}', "is malformed"),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": {"basis": "spline"}}', "known are repeat, taylor"),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": {"basis": "chebyshev"}}', "needs a window"),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": {"window": 4}}', "has no window"),
        (
            '{"name": "x", "steps": 2, "model": "m", "forecast": {"basis": "chebyshev", "order": 2, "window": 2}}',
            "choose a whole number from 3 to 8",
        ),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": {"basis": "scale_shift"}}', "needs the digest"),
        ('{"name": "x", "steps": 2, "model": "m", "forecast": {"fitted": "ab"}}', "has none; leave `fitted` out"),
        ('{"name": "x", "steps": 2, "model": "m", "forecasts": {"a": {}}}', "a forecast for 'a', which has no row"),
        (
            '{"name": "x", "steps": 2, "model": "m", "split": {"low": [1], "high": [1, 1]}}',
            "1 low and 2 high weights, 2 steps",
        ),
        (
            '{"name": "x", "steps": 1, "model": "m", "fusion": "drop", "split": {"low": [1], "high": [1]}}',
            "but fusion is 'drop'",
        ),
        ('{"name": "x", "steps": 1, "model": "m", "split": {"low": [-1], "high": [1]}}', "weight -1"),
        ('{"name": "x", "steps": 1, "model": "m", "split": {"low": [1], "high": [1], "radius": 2}}', "radius 2"),
        ('{"name": "x", "steps": 2, "model": "m", "table": {"a": ["C", "C"]}}', "give a string of one letter a step"),
        ('{"name": 3, "steps": 2, "model": "m"}', "words, not int"),
        ('{"name": "x", "steps": 2, "model": "m", "origin": 3}', "is malformed"),
        ('{"name": "x", "steps": 2, "model": "m", "origin": {"method": ["hgc"]}}', "method ['hgc'] is not a word"),
        ('{"name": "x", "steps": 2, "model": "m", "origin": {"method": "hgc", "by": 1}}', "is malformed"),
        ('{"name": "x", "steps": 2, "model": "m", "origin": {"method": "hgc", "knobs": [1]}}', "knobs [1]"),
        ('{"name": "x", "steps": 2, "model": "m", "origin": {"method": "hgc", "knobs": {"a": {}}}}', "'a' is {}"),
        ('{"name": "x", "steps": 2, "model": "m", "origin": {"method": "tgate"}}', "KeyError('gate_step')"),
        (
            '{"name": "x", "steps": 2, "model": "m", "origin": {"method": "block_caching", "knobs": {"delta": "x"}}}',
            "block_caching with knobs",
        ),
    ],
)
def test_a_malformed_plan_is_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        Plan.from_json(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 5), st.floats(0.5, 3))
def test_key_steps_are_distinct_in_range_and_start_warm(steps: int, count: int, warm: int, power: float) -> None:
    count = min(count, steps)
    keys = schedules.key_steps(steps, count, warm=warm, power=power)
    assert len(keys) == count
    assert list(keys) == sorted(set(keys))
    assert keys[: min(warm, count)] == tuple(range(min(warm, count)))
    assert keys[-1] < steps


def test_key_steps_lie_denser_at_the_start() -> None:
    keys = schedules.key_steps(20, 8)
    gaps = [b - a for a, b in pairwise(keys)]
    assert sum(gaps[:3]) < sum(gaps[-3:])
    assert gaps[0] == min(gaps)


def test_the_anatomy_of_stable_diffusion(anatomy: Anatomy) -> None:
    assert len(anatomy.control_residuals) == 13
    for kind in (Kind.CROSS_ATTENTION, Kind.SELF_ATTENTION, Kind.FEED_FORWARD):
        assert len(anatomy.of(kind)) == 16 + 7
    assert len(schedules.decoder_layers(anatomy)) == 12 + 2
    assert anatomy["unet.up_blocks.0.resnets.0"].inputs[:2] == (
        "unet.mid_block.resnets.1",
        "controlnet.controlnet_mid_block",
    )
    outermost = anatomy["unet.up_blocks.3.resnets.2"].inputs
    assert {"unet.conv_in", "controlnet.controlnet_down_blocks.0"} <= set(outermost)


def test_keeping_the_outermost_layer_needs_one_residual_of_thirteen(anatomy: Anatomy) -> None:
    """Field note: ControlNet falls to its first convolution, the condition and one projection."""
    asked = {schedules.cut_site(anatomy, 1): Action.REUSE}
    result = states(anatomy, asked)
    alive = {name for name, state in result.items() if state is State.COMPUTED and name.startswith("controlnet")}
    assert alive == {
        "controlnet.conv_in",
        "controlnet.controlnet_cond_embedding",
        "controlnet.controlnet_down_blocks.0",
    }
    assert result["unet.mid_block.resnets.0"] is State.DEAD
    assert "unet.up_blocks.3.attentions.1 is kept" in blame(anatomy, result, "unet.mid_block.resnets.0")


@settings(max_examples=20)  # each looks at every site of Stable Diffusion
@given(st.data())
def test_nothing_alive_is_left_without_a_consumer(data: st.DataObject) -> None:
    """Whatever is kept: every computed site is asked for by a computed one, and its inputs are not dead."""
    anatomy = sd15()
    names = [site.name for site in anatomy if site.name != UNGUIDED]
    kept = data.draw(st.lists(st.sampled_from(names), max_size=6))
    result = states(anatomy, dict.fromkeys(kept, Action.REUSE))
    for site in anatomy:
        if result[site.name] is not State.COMPUTED or site.kind in (Kind.BRANCH, Kind.PREDICTION):
            continue
        asked_by = [*anatomy.consumers[site.name], *([site.parent] if site.parent else [])]
        assert any(result[name] is State.COMPUTED for name in asked_by), site.name
        assert all(result[name] is not State.DEAD for name in site.inputs), site.name


def test_every_dead_site_has_a_reason(anatomy: Anatomy) -> None:
    for row in rehearse(schedules.HGC().plan(anatomy, STEPS), anatomy).steps:
        for name, state in row.items():
            if state is State.DEAD:
                assert " is kept" in blame(anatomy, row, name)


def test_lambdas_mean_what_they_say(anatomy: Anatomy) -> None:
    cost = {
        (inter, intra): plan_macs(
            schedules.HGC(lambda_inter=inter, lambda_intra=intra, fine=False).plan(anatomy, STEPS), anatomy
        ).paper
        for inter in (0.2, 0.5, 0.8)
        for intra in (0.0, 0.25, 0.75)
    }
    for intra in (0.0, 0.25, 0.75):
        assert cost[0.2, intra] < cost[0.5, intra] < cost[0.8, intra]
    for inter in (0.2, 0.5, 0.8):
        assert cost[inter, 0.0] < cost[inter, 0.25] < cost[inter, 0.75]
    plan = schedules.HGC(lambda_inter=0.5).plan(anatomy, STEPS)
    assert plan.table[schedules.cut_site(anatomy, 1)].count("C") == 10


def test_each_cache_works_alone_and_neither_is_the_exact_plan(anatomy: Anatomy) -> None:
    kinds = {
        (coarse, fine): {
            anatomy[name].kind for name in schedules.HGC(coarse=coarse, fine=fine).plan(anatomy, STEPS).table
        }
        for coarse in (True, False)
        for fine in (True, False)
    }
    exact = {Kind.TEXT_KV, Kind.CONDITION}
    assert kinds[False, False] == exact
    assert kinds[False, True] == exact | {Kind.CROSS_ATTENTION, Kind.BRANCH}
    assert kinds[True, False] == exact | {Kind.RESIDUAL, Kind.TRANSFORMER}
    assert kinds[True, True] == kinds[True, False] | kinds[False, True]
    assert schedules.HGC(coarse=False, fine=False).plan(anatomy, STEPS).table == schedules.exact(anatomy, STEPS).table


@pytest.mark.parametrize("share", [0.2, 0.368, 0.5, 0.65, 0.8])
def test_a_budget_is_kept_and_used(anatomy: Anatomy, share: float) -> None:
    settings = schedules.under_budget(anatomy, STEPS, share, schedules.HGC())
    plan = settings.plan(anatomy, STEPS)
    spent = plan_macs(plan, anatomy).paper / plan_macs(schedules.full(anatomy, STEPS), anatomy).paper
    assert share - 0.06 < spent <= share


def test_a_budget_out_of_reach_names_the_nearest(anatomy: Anatomy) -> None:
    with pytest.raises(PlanRefused, match=r"2%.* 1\d\.\d%"):
        schedules.under_budget(anatomy, STEPS, 0.02, schedules.HGC())


@pytest.mark.parametrize(
    "settings",
    [
        {"lambda_inter": 1.5},
        {"lambda_intra": -0.1},
        {"gate": -0.1},
        {"gate": 1.1},
        {"attention_every": 0},
        {"threshold": -1.0},
    ],
)
def test_settings_out_of_range_are_refused_with_both_numbers(anatomy: Anatomy, settings: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused) as refused:
        schedules.HGC(**settings).plan(anatomy, STEPS)
    assert str(next(iter(settings.values()))) in str(refused.value)


def test_a_budget_is_solved_for_the_guidance_there_is(anatomy: Anatomy) -> None:
    """Without guidance the gate saves nothing, so that the plan of the same share must have fewer key steps."""
    shares = {}
    for guidance in (True, False):
        settings = schedules.under_budget(anatomy, STEPS, 0.4, schedules.HGC(), guidance=guidance)
        plan = settings.plan(anatomy, STEPS)
        whole = plan_macs(schedules.full(anatomy, STEPS), anatomy, guidance=False).paper
        shares[guidance] = plan_macs(plan, anatomy, guidance=False).paper / whole
    assert shares[False] <= 0.4 < shares[True]


TGATE = schedules.TGate()


@pytest.mark.parametrize(
    "make",
    [
        schedules.full,
        schedules.exact,
        schedules.HGC().plan,
        schedules.DeepCache().plan,
        TGATE.plan,
        schedules.EncoderPropagation(keys=(0, 1)).plan,
        schedules.StepSkip(keys=(0, 1)).plan,
        schedules.GuidanceReuse(keys=(0, 1)).plan,
    ],
)
@pytest.mark.parametrize("steps", [2, 3, 11, 50])
def test_every_schedule_can_be_played_at_any_number_of_steps(anatomy: Anatomy, make: Any, steps: int) -> None:
    if make == TGATE.plan and steps < 10:
        with pytest.raises(PlanRefused, match="gate_step 10"):
            make(anatomy, steps)
        return
    played = rehearse(make(anatomy, steps), anatomy)
    assert len(played.steps) == steps
    assert 0 < played.macs.paper <= plan_macs(schedules.full(anatomy, steps), anatomy).paper


def test_keeping_the_whole_prediction_costs_nothing(anatomy: Anatomy) -> None:
    played = rehearse(Plan(Origin("skip"), 3, "sd15", {PREDICTION: "CRR"}), anatomy)
    assert played.branches == (2, 0, 0)
    assert [macs.full for macs in played.macs_per_step[1:]] == [0, 0]


def test_plans_are_json_a_person_can_read(anatomy: Anatomy) -> None:
    data = json.loads(schedules.HGC(lambda_inter=0.5).plan(anatomy, 6).to_json())
    assert data["table"]["controlnet.controlnet_mid_block"] == "CCCFFF"
