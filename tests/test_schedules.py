"""What each method plans, against its paper or released code; nothing is run."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import made_up
import pytest
import tiny
import torch

from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.rehearsal import rehearse
from hgc.cache.rules import LINE, ForecastRule, Gate, PlanRefused
from hgc.planning.methods import METHODS

STEPS = 20


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    with torch.device("meta"):
        networks = Networks(tiny.unet(), {"controlnet": tiny.controlnet()})
    return measure(networks, (16, 16), 16, model="tiny")


def alive(anatomy: Anatomy, plan: Any, step: int, network: str) -> set[str]:
    """The sites of a network that a step computes."""
    row = rehearse(plan, anatomy).steps[step]
    return {site.name for site in anatomy.within(network) if row[site.name] is State.COMPUTED}


@pytest.mark.parametrize(
    ("steps", "interval", "centre", "power", "released"),
    [
        (50, 5, 15, 1.4, (0, 5, 9, 13, 17, 21, 26, 31, 37, 43)),
        (20, 3, 6, 1.4, (0, 3, 5, 7, 10, 13, 16)),
        (20, 2, 10, 2.0, (0, 2, 4, 7, 9, 10, 12, 14, 16, 18)),
    ],
)
def test_deepcaches_uneven_steps_are_the_released_ones(
    steps: int, interval: int, centre: int, power: float, released: tuple[int, ...]
) -> None:
    """What `sample_from_quad_center` of DeepCache's repository returns for these numbers."""
    assert schedules.power_around(steps, interval, centre, power) == released


@pytest.mark.parametrize(
    ("branch", "layers"),
    [
        (0, {"unet.up_blocks.3.resnets.2"}),
        (2, {f"unet.up_blocks.3.resnets.{i}" for i in range(3)}),
        (3, {*(f"unet.up_blocks.3.resnets.{i}" for i in range(3)), "unet.up_blocks.2.resnets.2"}),
    ],
)
def test_deepcaches_branch_names_the_outer_layers(anatomy: Anatomy, branch: int, layers: set[str]) -> None:
    """As DeepCache's helper numbers them: three layers a block, from the output inwards."""
    plan = schedules.DeepCache(interval=3, branch=branch).plan(anatomy, 6)
    computed = alive(anatomy, plan, 1, "unet.up_blocks.2") | alive(anatomy, plan, 1, "unet.up_blocks.3")
    assert {name for name in computed if anatomy[name].kind is Kind.RESNET} == layers
    assert [row["unet.mid_block.resnets.0"] for row in rehearse(plan, anatomy).steps].count(State.COMPUTED) == 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"interval": 0}, "interval 0"),
        ({"centre": 0}, "centre 0: choose a step between 1 and 19"),
        ({"centre": 20}, "centre 20"),
        ({"centre": 5, "power": 1.0}, "power 1.0"),
        ({"centre": 5, "interval": 1}, "no 20 distinct steps of 20"),
        ({"branch": 40}, "refreshed decoder layers; choose between 0 and"),
        ({"branch": -1}, "branch -1"),
    ],
)
def test_deepcache_refuses_what_it_cannot_do(anatomy: Anatomy, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        schedules.DeepCache(**settings).plan(anatomy, STEPS)
    assert says in str(refused.value)


def test_tgate_keeps_text_and_guidance_from_the_gate_on(anatomy: Anatomy) -> None:
    plan = schedules.TGate(gate_step=3).plan(anatomy, 6)
    assert plan.fusion == "average"
    assert plan.table[UNGUIDED] == "CCCRRR"
    assert {plan.table[site.name] for site in anatomy.of(Kind.CROSS_ATTENTION)} == {"CCCRRR"}
    assert rehearse(plan, anatomy).branches == (2, 2, 2, 1, 1, 1)


def test_tgate_computes_self_attention_when_the_released_scheduler_does(anatomy: Anatomy) -> None:
    """`tgate_scheduler(gate_step=10, sa_interval=5, ca_interval=3, warm_up=2)` for 16 steps, C where it computes."""
    plan = schedules.TGate(gate_step=10, self_every_before=5, self_every_after=3).plan(anatomy, 16)
    assert {plan.table[site.name] for site in anatomy.of(Kind.SELF_ATTENTION)} == {"CCCRRCRRRCRRCRRC"}
    rehearse(plan, anatomy)
    plan = schedules.TGate(gate_step=10).plan(anatomy, 16)
    assert not {site.name for site in anatomy.of(Kind.SELF_ATTENTION)} & plan.table.keys()


@pytest.mark.parametrize("settings", [{"gate_step": 0}, {"gate_step": 21}, {"self_every_before": 0}])
def test_tgate_refuses_what_it_cannot_do(anatomy: Anatomy, settings: dict[str, int]) -> None:
    (name, value), *_ = settings.items()
    with pytest.raises(PlanRefused, match=f"{name} {value}"):
        schedules.TGate(**settings).plan(anatomy, STEPS)


def test_encoder_and_control_run_at_key_steps_only(anatomy: Anatomy) -> None:
    plan = schedules.EncoderPropagation(keys=(0, 3)).plan(anatomy, 6)
    encoder = alive(anatomy, plan, 0, "unet.down_blocks") | alive(anatomy, plan, 0, "unet.mid_block")
    assert encoder
    for step in (1, 2, 4):
        assert not alive(anatomy, plan, step, "controlnet")
        assert not alive(anatomy, plan, step, "unet.down_blocks") | alive(anatomy, plan, step, "unet.mid_block")
        assert alive(anatomy, plan, step, "unet.up_blocks") == {
            *alive(anatomy, plan, 0, "unet.up_blocks"),
        } - {site.name for site in anatomy if site.constant}
        assert "unet.time_embedding" in alive(anatomy, plan, step, "unet")


@pytest.mark.parametrize("keys", [(), (1, 3), (0, STEPS), (-1, 0)])
@pytest.mark.parametrize(
    "method",
    [
        lambda a, n, keys: schedules.EncoderPropagation(keys).plan(a, n),
        lambda a, n, keys: schedules.GuidanceReuse(keys).plan(a, n),
        lambda a, n, keys: schedules.StepSkip(keys).plan(a, n),
        lambda a, n, keys: schedules.HGC().plan(a, n, keys=keys),
    ],
)
def test_key_steps_begin_with_the_first_and_lie_in_the_run(anatomy: Anatomy, method: Any, keys: tuple[int]) -> None:
    with pytest.raises(PlanRefused, match=r"from 0.* to 19"):
        method(anatomy, STEPS, keys=keys)


def test_an_encoder_without_a_middle_is_propagated_by_its_last_layer() -> None:
    """As in the smallest of the distilled Stable Diffusions."""
    with torch.device("meta"):
        networks = Networks(tiny.unet(**tiny.SMALL["sd"], mid_block_type=None), {})
    anatomy = measure(networks, (16, 16), 16, model="tiny")
    plan = schedules.EncoderPropagation(keys=(0, 3)).plan(anatomy, 6)
    for step in (1, 2, 4):
        assert not alive(anatomy, plan, step, "unet.down_blocks")
        assert alive(anatomy, plan, step, "unet.up_blocks")


def test_a_control_that_sets_in_late_is_waited_for(anatomy: Anatomy) -> None:
    """Every method that keeps control residuals can be played where the ControlNet is off in the first two steps."""
    off: list[set[str]] = [{"controlnet"}] * 2 + [set()] * 6
    residual = anatomy.control_residuals[0].name
    curves = made_up.curves(anatomy, 8)
    for plan in (
        schedules.HGC().plan(anatomy, 8, keys=(0, 1, 5), first_control_step=2),
        schedules.EncoderPropagation(keys=(0, 5), forecast=LINE).plan(anatomy, 8, first_control_step=2),
        schedules.HGC(gate=1 / 8).plan(anatomy, 8, keys=(0, 4), first_control_step=2),
        schedules.TGate(gate_step=1, self_every_after=5).plan(anatomy, 8, first_control_step=2),
        schedules.BlockCaching(delta=0.5).plan(anatomy, 8, curves, off=off),
        schedules.BlockCaching(share=0.6, forecast=LINE).plan(anatomy, 8, curves, off=off),
    ):
        played = rehearse(plan, anatomy, off=off)
        assert [row[residual] for row in played.steps[:3]] == [State.DEAD, State.DEAD, State.COMPUTED]
        assert State.COMPUTED not in {row["controlnet.conv_in"] for row in played.steps[:2]}
    assert schedules.keep_control(8, (0, 5), LINE, 2) == "CCCCFCFF"
    assert schedules.keep_control(4, (0, 2), LINE, 0) == "CRCF"


def test_guidance_weighs_low_frequencies_early_and_high_ones_late(anatomy: Anatomy) -> None:
    plan = schedules.GuidanceReuse(keys=(0, 2), alpha_low=0.2, alpha_high=0.1, forecast=LINE).plan(anatomy, 4)
    assert plan.split is not None
    assert plan.split.low == (1.2, 1.2, 1, 1)
    assert plan.split.high == (1, 1, 1.1, 1.1)
    assert plan.table[UNGUIDED] == "CRCF"
    assert schedules.GuidanceReuse(keys=(0, 2)).plan(anatomy, 4).split is None
    with pytest.raises(PlanRefused, match="turn 2"):
        schedules.GuidanceReuse(keys=(0, 2), turn=2).plan(anatomy, 4)


def test_a_skipped_step_may_be_gated_for_each_branch(anatomy: Anatomy) -> None:
    plan = schedules.StepSkip(threshold=0.2, longest=3, per_branch=True).plan(anatomy, 5)
    assert plan.gate == Gate(0.2, 3, per_branch=True)
    assert plan.table[PREDICTION] == plan.table[UNGUIDED] == "CCFFF"
    assert schedules.StepSkip().plan(anatomy, 5).gate is None
    with pytest.raises(PlanRefused, match="threshold 0"):
        schedules.StepSkip(threshold=0).plan(anatomy, 5)


def test_fewer_steps_keep_nothing(anatomy: Anatomy) -> None:
    plan = schedules.FewerSteps(7).plan(anatomy, STEPS)
    assert plan.table == {}
    assert plan.steps == 7
    assert plan.name == "fewer steps: 7 of 20"


@pytest.mark.parametrize(("share", "chosen"), [(1.0, 10), (0.55, 5), (0.5, 5), (0.1, 1)])
def test_the_choice_of_most_compute_within_a_budget_is_taken(share: float, chosen: int) -> None:
    asked: list[int] = []

    def cost(choice: int) -> float:
        asked.append(choice)
        return choice / 10

    assert schedules.most_within(share, range(10, 0, -1), cost) == chosen
    assert len(asked) <= 6


def test_a_budget_below_the_cheapest_choice_names_the_nearest() -> None:
    with pytest.raises(schedules.OutOfReach, match=r"5%.* 10\.0%") as refused:
        schedules.most_within(0.05, range(10, 0, -1), lambda choice: choice / 10)
    assert refused.value.nearest == 0.1


@pytest.mark.parametrize(
    "basis", [ForecastRule("taylor", 2), ForecastRule("hermite"), ForecastRule("chebyshev", window=3)]
)
def test_any_kept_row_may_be_forecast_on_any_basis(anatomy: Anatomy, basis: ForecastRule) -> None:
    keys = (0, 2, 4)
    for settings in (
        schedules.DeepCache(2, forecast=basis),
        schedules.EncoderPropagation(keys, basis),
        schedules.GuidanceReuse(keys, basis),
    ):
        plan = settings.plan(anatomy, 6)
        assert plan.forecast == basis
        assert "CRCFCF" in plan.table.values()
        rehearse(plan, anatomy)


SETTINGS = [
    kind for kind in vars(schedules).values() if isinstance(kind, type) and issubclass(kind, schedules.Settings)
]
METHODS_BY_RULE = [kind for kind in SETTINGS if kind is not schedules.Settings]
NEEDED: dict[str, dict[str, Any]] = {
    "BlockCaching": {"share": 0.5},
    "EncoderPropagation": {"keys": (0, 1)},
    "FewerSteps": {"count": 3},
    "GuidanceReuse": {"keys": (0, 1)},
    "HGC": {"threshold": 9.9},
}


def test_every_method_by_rule_has_settings_of_its_own_in_its_own_file() -> None:
    assert len({kind.__module__ for kind in METHODS_BY_RULE}) == len(METHODS_BY_RULE)
    assert len(METHODS_BY_RULE) == len(METHODS.keys() - {"optimised"})


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in METHODS_BY_RULE for name in kind.bounds],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_a_setting_is_taken_at_its_bounds_and_refused_beyond(kind: type[schedules.Settings], name: str) -> None:
    bounds: Any = kind.bounds[name]
    given = {key: value for key, value in NEEDED.get(kind.__name__, {}).items() if (key, name) != ("share", "delta")}
    for ends, step in (((bounds.ge, bounds.gt), -1e-6), ((bounds.le, bounds.lt), 1e-6)):
        inside, outside = ends
        if inside is not None:
            assert getattr(kind(**given | {name: inside}), name) == inside
            outside = inside + (step if isinstance(inside, float) else int(step * 1e6))
        if outside is not None:
            with pytest.raises(PlanRefused, match=rf"^{name} "):
                kind(**given | {name: outside})


def test_settings_are_frozen_and_stand_whole_in_the_origin(anatomy: Anatomy) -> None:
    settings = schedules.TGate(gate_step=4, warm=1)
    with pytest.raises(FrozenInstanceError):
        settings.warm = 2  # type: ignore[misc]
    assert schedules.TGate(**settings.plan(anatomy, 8).origin.knobs) == settings
