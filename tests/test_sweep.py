"""Sweeps: text becomes axes, axes become requests, each arm is drawn once, and what is there stays."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hgc.cache.schedules import HGC
from hgc.charts.pareto import ABOVE_DB, Point, curves, pareto_chart
from hgc.request import Request, RequestRefused
from hgc.sweep import MOST_RUNS, SETTINGS, Axis, Sweep, parse_seeds
from hgc.sweep.table import Layout


def png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


BASE = Request.make(png(), prompt="a lake", budget=0.4)
NUMBERS = [name for name, setting in SETTINGS.items() if setting.kind is not str]


# Text to values


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("budget", "0.2, 0.35,0.5", (0.2, 0.35, 0.5)),
        ("budget", "20%, 35%", (0.2, 0.35)),
        ("budget", "20, 35", (0.2, 0.35)),
        ("budget", "20..40 by 10", (0.2, 0.3, 0.4)),
        ("seed", "0..4", (0, 1, 2, 3, 4)),
        ("seed", "3, 3, 1..2,", (3, 1, 2)),
        ("steps", "10..30 by 10", (10, 20, 30)),
        ("gate", "0.2..0.6 by 0.1", (0.2, 0.3, 0.4, 0.5, 0.6)),
        ("budget", "20%..40% by 10%", (0.2, 0.3, 0.4)),
        ("method", "hgc, deepcache", ("hgc", "deepcache")),
    ],
)
def test_values_are_read_as_written(name: str, text: str, values: tuple[object, ...]) -> None:
    assert Axis.parse(name, text).values == values


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("budget", "", "Budget: no values; write some, such as 20%, 37%, 50%, 65%"),
        ("budget", "a third", "Budget: 'a third' is not a number"),
        ("budget", "nan", "Budget: 'nan' is not a number"),
        ("steps", "10.5", "Steps: 10.5 is not a whole number"),
        ("gate", "0.2..0.6", "Gate: '0.2..0.6' has no step; write such as 0.2..0.6 by 0.1"),
        ("seed", "4..0", "Seed: '4..0' leads nowhere"),
        ("seed", "0..4 by 0", "Seed: '0..4 by 0' leads nowhere"),
        ("seed", "0..999999999999", f"at most {MOST_RUNS}"),
        ("flavour", "1", "nothing is called 'flavour': sweep over budget, method"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(name: str, text: str, says: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        Axis.parse(name, text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.sampled_from(NUMBERS), st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True))
def test_values_survive_being_written_down(name: str, whole: list[int]) -> None:
    values = tuple(whole) if SETTINGS[name].kind is int else tuple(number / 100 for number in whole)
    assert Axis.parse(name, ", ".join(str(value) for value in values)).values == values


def test_the_examples_that_a_setting_brings_can_be_swept() -> None:
    for name, setting in SETTINGS.items():
        sweep = Sweep(BASE, Axis.parse(name, setting.example))
        assert len(sweep.cells) == len(sweep.x.values) > 1


# Axes to requests


@given(
    st.sampled_from([(x, y) for x in NUMBERS for y in ("seed", "steps", "guidance") if x != y]),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_every_place_is_drawn_once_with_its_own_values(names: tuple[str, str], columns: int, rows: int) -> None:
    at = {"budget": 0.1, "lambda_inter": 0.1, "lambda_intra": 0.1, "gate": 0.1, "guidance": 1.0}
    values = [
        tuple(at[name] * i if name in at else 1 + i for i in range(1, count + 1))
        for name, count in zip(names, (columns, rows), strict=True)
    ]
    sweep = Sweep(BASE, Axis(names[0], values[0]), Axis(names[1], values[1]))
    assert len({cell.key for cell in sweep.cells}) == len(sweep.cells) == columns * rows
    for cell in sweep.cells:
        data = cell.request.model_dump()
        for name, value in zip(names, (values[0][cell.column], values[1][cell.row]), strict=True):
            assert (data | data["cache"])[name] == value
        untouched = data.keys() - {"cache", "budget", *names}
        assert all(data[name] == BASE.model_dump()[name] for name in untouched)


def test_only_what_changes_the_picture_is_computed_in_full_again() -> None:
    budgets, seeds = Axis.parse("budget", "0.2, 0.4, 0.6"), Axis.parse("seed", "0..1")
    assert Sweep(BASE, budgets, seeds).pictures == 2
    assert Sweep(BASE, budgets, Axis.parse("method", "hgc, deepcache")).pictures == 1
    assert Sweep(BASE, Axis.parse("steps", "4, 8"), seeds).pictures == 4
    assert Sweep(BASE, budgets, seeds=(7, 8, 9)).pictures == 3


def test_a_number_of_the_plan_takes_the_place_of_budget_and_method_and_switches_its_cache_on() -> None:
    base = BASE.model_copy(update={"method": "deepcache", "cache": HGC(coarse=False, fine=False)})
    (cell,) = Sweep(base, Axis("gate", (0.5,))).cells
    assert (cell.request.method, cell.request.budget) == ("hgc", None)
    assert cell.request.cache == HGC(coarse=False, fine=True, gate=0.5)


def test_the_ladder_switches_the_two_caches_and_nothing_else() -> None:
    rungs = [cell.request.cache for cell in Sweep.ladder(BASE).cells]
    assert [(rung.coarse, rung.fine) for rung in rungs] == [(False, False), (True, False), (False, True), (True, True)]
    assert {replace(rung, coarse=True, fine=True) for rung in rungs} == {BASE.cache}


def test_further_seeds_draw_every_place_under_each_the_first_seed_first() -> None:
    sweep = Sweep(BASE, Axis.parse("budget", "0.2, 0.4"), seeds=parse_seeds("5, 6"))
    assert [(cell.request.budget, cell.request.seed) for cell in sweep.cells] == [
        (0.2, 5),
        (0.4, 5),
        (0.2, 6),
        (0.4, 6),
    ]
    assert parse_seeds("  ") == ()


@pytest.mark.parametrize(
    ("x", "y", "seeds", "says"),
    [
        ("budget=0.2", "budget=0.3", "", "both axes are Budget"),
        ("budget=0.2", "gate=0.3", "", "Budget and Gate both decide what is kept"),
        ("caches=off", "budget=0.3", "", "Caches and Budget both decide"),
        ("method=hgc", "lambda_inter=0.3", "", "Method and λ inter both decide"),
        ("seed=0..1", "budget=0.3", "1, 2", "seed is an axis already"),
        ("seed=0..19", "steps=10..15", "", "20 × 6 are 120 runs, at most 100"),
        ("seed=0..19", None, "0..5", "seed is an axis already"),
        ("gate=0..1 by 0.05", None, "0..5", "21 × 6 are 126 runs, at most 100"),
        ("steps=1", None, "", "steps: Input should be greater than or equal to 2 (given: 1)"),
        ("caches=on", None, "", "Caches: 'on'; choose among off, coarse, fine, both"),
    ],
)
def test_sweeps_that_make_no_sense_are_refused(x: str, y: str | None, seeds: str, says: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        Sweep(BASE, axis(x), None if y is None else axis(y), parse_seeds(seeds))
    assert says in str(refused.value)


def axis(text: str) -> Axis:
    name, _, values = text.partition("=")
    return Axis.parse(name, values)


# Runs to curves


@pytest.mark.parametrize(
    ("x", "y", "along", "across"),
    [
        ("budget=0.2", "seed=0", "budget", None),
        ("seed=0", "gate=0.2", "gate", None),
        ("gate=0.2", "steps=4", "gate", "steps"),
        ("method=hgc", "budget=0.2", "budget", "method"),
        ("caches=off", None, None, "caches"),
        ("seed=0", None, None, None),
    ],
)
def test_numbers_run_along_a_curve_and_words_tell_curves_apart(
    x: str, y: str | None, along: str | None, across: str | None
) -> None:
    layout = Layout.of(Sweep(BASE, axis(x), None if y is None else axis(y)))
    assert (layout.along and layout.along.name, layout.across and layout.across.name) == (along, across)


def point(place: str, key: str, share: float, psnr: float, series: str = "HGC", rival: bool = False) -> Point:
    return Point(series, place, key, share, share * 1e12, share * 1e3, psnr, 0.9, 0.1, nan, rival)


def test_a_curve_runs_along_the_cost_with_a_band_over_seeds() -> None:
    drawn = curves(
        [
            point("50%", "b0", 0.5, 30),
            point("20%", "a0", 0.2, 20),
            point("50%", "b1", 0.5, 34),
            point("50%", "b2", 0.5, 31),
        ],
        "share",
        "psnr",
    )
    assert [(dot.place, dot.cost, dot.low, dot.middle, dot.high, dot.key) for dot in drawn["HGC"]] == [
        ("20%", 0.2, 20, 20, 20, "a0"),
        ("50%", 0.5, 30, 31, 34, "b2"),
    ]


def test_the_chart_has_a_curve_for_each_series_a_dashed_one_for_the_rival_and_a_key_at_every_dot() -> None:
    given_points = [
        point("20%", "a", 0.2, 20),
        point("90%", "b", 0.9, inf),
        point("90%", "c", 0.9, 40),
        point("at the cost of 20%", "a", 0.2, 15, "Fewer steps", rival=True),
    ]
    figure = pareto_chart(given_points)
    band, line, rival = figure.data
    assert (band.fill, band.hoverinfo) == ("toself", "skip")
    assert (line.name, list(line.customdata), list(line.x)) == ("HGC", ["a", "b"], [20, 90])
    assert line.y[1] == 40 + ABOVE_DB
    assert "identical" in line.text[1]
    assert (rival.name, rival.line.dash) == ("Fewer steps", "dash")
    assert [part.name for part in pareto_chart(given_points, "macs", "control_score").data] == []
    assert list(pareto_chart(given_points, "latency_ms", "ssim").data[1].x) == [0.2, 0.9]
    assert pareto_chart(given_points, "share", "perceptual").layout.yaxis.autorange == "reversed"
