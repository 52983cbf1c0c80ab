"""Every chart says what the trace says, cell by cell."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
import tiny
from made_up import curves
from plotly.graph_objects import Figure

from hgc.cache import schedules
from hgc.cache.anatomy import Kind, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.sites import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.running.engine import cached
from hgc.cache.trace import Trace
from hgc.calibration.curves import ChangeCurves
from hgc.charts import as_page, attention_chart, charts_of, drift_chart, latency_chart, macs_chart, state_chart
from hgc.charts.change import accumulated, accumulated_chart, change_chart, changing_rows, most_piled
from hgc.charts.drift import row_drift
from hgc.charts.look import ABSENT, COMPUTED, DEAD, FORECAST, OF_ARM, PARTLY, REUSED
from hgc.charts.pareto import Point, pareto_chart
from hgc.charts.quantity import duration, giga, seconds, size
from hgc.charts.rows import block_rows, site_rows
from hgc.judges import ERRORS, is_error
from hgc.judges.table import MEASURES
from hgc.request import ArmName

TITLES: dict[ArmName, str] = {"full": "Full", "cached": "HGC", "rival": "Fewer steps"}
STEPS = 6
DELTA = 0.4
# The order of the colours in a chart's cells.
SHADES = [COMPUTED, PARTLY, REUSED, FORECAST, DEAD, ABSENT]
STATES = {
    State.COMPUTED: COMPUTED,
    State.REUSED: REUSED,
    State.FORECAST: FORECAST,
    State.DEAD: DEAD,
    State.ABSENT: ABSENT,
}


def run(nets: int, method: str, *, observe: bool = False, guidance: float = 4.0) -> Trace:
    pipe = tiny.control_pipeline(nets)
    anatomy = measure(Networks.of(pipe), (16, 16), 16, model="tiny")
    plan: Plan = {
        "full": lambda: schedules.full(anatomy, STEPS),
        "hgc": lambda: schedules.HGC(gate=4 / STEPS).plan(anatomy, STEPS),
        "fine": lambda: schedules.HGC(coarse=False, attention_every=2).plan(anatomy, STEPS),
    }[method]()
    images = {"image": [tiny.control_image()] * nets} if nets > 1 else {}
    with cached(pipe, plan, observe=observe) as running:
        tiny.latents(pipe, steps=STEPS, guidance=guidance, **images)
    return running.trace


@pytest.fixture(scope="module")
def full() -> Trace:
    return run(1, "full", observe=True)


@pytest.fixture(scope="module")
def hgc() -> Trace:
    return run(1, "hgc")


def cells_of(figure: Figure) -> dict[str, list[int]]:
    """Colour numbers by row title."""
    table = next(part for part in figure.data if part.name == "cells")
    return dict(zip(table.y, table.z, strict=True))


def hover_of(figure: Figure) -> dict[str, list[str]]:
    table = next(part for part in figure.data if part.name == "cells")
    return dict(zip(table.y, table.text, strict=True))


@pytest.mark.parametrize("method", ["hgc", "fine", "full"])
def test_every_site_is_drawn_in_the_colour_of_its_state(method: str) -> None:
    trace = run(1, method)
    drawn = cells_of(state_chart(trace, "sites"))
    rows = site_rows(trace)
    assert sorted(drawn) == sorted(row.title for row in rows)
    for row in rows:
        (site,) = row.main
        wanted = [STATES[cell.state] for cell in trace.cells[site.name]]
        assert [SHADES[number] for number in drawn[row.title]] == wanted, site.name


def test_hovering_gives_reason_cost_and_age(hgc: Trace) -> None:
    hover = hover_of(state_chart(hgc, "sites"))
    for row in site_rows(hgc):
        for step, cell in enumerate(hgc.cells[row.main[0].name]):
            words = hover[row.title][step]
            assert cell.reason in words
            assert f"step {step + 1}:" in words
            if cell.macs_full:
                assert f"{giga(cell.macs_paper)} MACs paper, {giga(cell.macs_full)} full" in words
            if cell.latency_ms:
                assert f"{cell.latency_ms:.2f} ms" in words
            if cell.age:
                assert f"value is {cell.age} step" in words


def test_hovering_an_observed_run_gives_the_drift(full: Trace) -> None:
    hover = hover_of(state_chart(full, "sites"))
    seen = 0
    for row in site_rows(full):
        for step, cell in enumerate(full.cells[row.main[0].name]):
            if cell.drift is not None:
                seen += 1
                assert f"changed by {cell.drift:.1%}" in hover[row.title][step]
    assert seen > 0


def test_hovering_a_verified_run_says_how_far_off_the_forecast_was(hgc: Trace) -> None:
    row = next(row for row in site_rows(hgc) if row.title.startswith("UNet"))
    name = row.main[0].name
    checked = tuple(replace(cell, reason="verification: …", forecast_error=0.314) for cell in hgc.cells[name])
    words = hover_of(state_chart(replace(hgc, cells={**hgc.cells, name: checked}), "sites"))[row.title][0]
    assert "verification: …" in words
    assert "its forecast would have been 31.4% off" in words


@pytest.mark.parametrize("nets", [1, 2])
def test_rows_hold_every_site_once_under_a_title_of_their_own(nets: int) -> None:
    trace = run(nets, "hgc")
    everything = sorted(site.name for site in trace.sites)
    for rows in (block_rows(trace), site_rows(trace)):
        assert sorted(name for row in rows for name in row.names) == everything
        assert max(Counter(row.title for row in rows).values()) == 1


def test_a_block_is_in_part_computed_just_where_its_sites_differ(hgc: Trace) -> None:
    drawn = cells_of(state_chart(hgc, "blocks"))
    for row in block_rows(hgc):
        for step in range(hgc.steps):
            states = {hgc.cells[site.name][step].state for site in row.main}
            shade = SHADES[drawn[row.title][step]]
            if len(states) == 1:
                assert shade is STATES[states.pop()]
            else:
                assert (shade is PARTLY) == (State.COMPUTED in states)


def test_blocks_hover_adds_up_to_the_whole(hgc: Trace) -> None:
    for step in range(hgc.steps):
        total = sum(hgc.cells[name][step].macs_paper for row in block_rows(hgc) for name in row.names)
        assert total == hgc.macs_per_step[step].paper


@pytest.mark.parametrize("method", ["hgc", "fine"])
def test_attention_chart_counts_hits_misses_and_branches(method: str) -> None:
    trace = run(1, method)
    figure = attention_chart(trace)
    drawn = cells_of(figure)
    layers = [site for site in trace.sites if site.kind is Kind.CROSS_ATTENTION]
    assert len(drawn) == len(layers)
    numbers = Counter(SHADES[number] for row in drawn.values() for number in row)
    assert numbers[REUSED] == trace.attention_hits > 0
    assert numbers[COMPUTED] == trace.attention_misses
    for row, site in zip(drawn.values(), layers, strict=True):
        hits = [cell.state in (State.REUSED, State.FORECAST) for cell in trace.cells[site.name]]
        assert [SHADES[number] is REUSED for number in row] == hits
    branches = next(part for part in figure.data if part.name == "branches")
    assert tuple(branches.z[0]) == trace.branches
    bars = {part.name: list(part.y) for part in figure.data if part.type == "bar"}
    for step in range(trace.steps):
        states = [trace.cells[site.name][step].state for site in layers]
        assert bars["computed"][step] == states.count(State.COMPUTED)
        assert bars["from the cache"][step] == states.count(State.REUSED) + states.count(State.FORECAST)


@pytest.mark.parametrize("convention", ["paper", "full"])
def test_macs_chart_holds_both_arms(full: Trace, hgc: Trace, convention: str) -> None:
    figure = macs_chart({"full": full, "cached": hgc}, TITLES, convention)  # type: ignore[arg-type]
    assert [bars.name for bars in figure.data] == ["Full", "HGC"]
    for bars, trace in zip(figure.data, (full, hgc), strict=True):
        assert list(bars.y) == [getattr(macs, convention) / 1e9 for macs in trace.macs_per_step]
        assert sum(bars.y) * 1e9 == pytest.approx(getattr(trace.macs, convention))
        assert list(bars.x) == list(range(1, STEPS + 1))


def test_latency_chart_holds_both_arms(full: Trace, hgc: Trace) -> None:
    figure = latency_chart({"full": full, "cached": hgc}, TITLES)
    assert [tuple(bars.y) for bars in figure.data] == [full.step_ms, hgc.step_ms]


def test_an_arm_alone_and_one_of_fewer_steps_have_their_own_bars(full: Trace, hgc: Trace) -> None:
    alone = macs_chart({"full": full}, TITLES)
    assert [(bars.name, bars.showlegend) for bars in alone.data] == [("Full", None)]
    assert alone.layout.showlegend
    pair = latency_chart({"full": full, "rival": hgc}, TITLES)
    assert [bars.marker.color for bars in pair.data] == [OF_ARM["full"], OF_ARM["rival"]]
    assert pair.data[1].name == "Fewer steps"
    assert "Fewer steps, block by block." in [c.aside for c in charts_of({"full": full, "rival": hgc}, TITLES)]


def test_drift_curves_are_the_blocks_mean_change(full: Trace) -> None:
    figure = drift_chart(full)
    rows = {row.title: row for row in block_rows(full)}
    assert len(figure.data) >= 9
    for line in figure.data:
        row = rows[line.hovertemplate.split(", step")[0]]
        for step, value in enumerate(line.y):
            found = [d for site in row.main if (d := full.cells[site.name][step].drift) is not None]
            assert value == (sum(found) / len(found) if found else None)


def test_the_legend_of_the_drift_is_what_is_drawn(full: Trace) -> None:
    lines = drift_chart(full).data
    looks = [(line.line.color, line.line.dash) for line in lines]
    assert len(set(looks)) == len(looks), "two blocks share a line"
    assert all(line.showlegend is not False for line in lines)
    assert [line.name for line in lines] == [line.hovertemplate.split(", step")[0] for line in lines]


def test_a_run_that_was_not_observed_has_no_drift(hgc: Trace) -> None:
    assert len(drift_chart(hgc).data) == 0
    assert row_drift(hgc, block_rows(hgc)[0], 0) is None


def test_without_guidance_the_second_branch_is_not_there() -> None:
    trace = run(1, "hgc", guidance=1.0)
    drawn = cells_of(state_chart(trace, "blocks"))
    assert {SHADES[number] for number in drawn["Unguided branch"]} == {ABSENT}


def test_the_legend_names_just_what_is_drawn(hgc: Trace) -> None:
    figure = state_chart(hgc, "blocks")
    words = {part.name for part in figure.data if part.type == "scatter"}
    drawn = {SHADES[number].word for row in cells_of(figure).values() for number in row}
    assert words == drawn


def test_cells_can_be_told_apart() -> None:
    assert len({shade.colour for shade in SHADES}) == len(SHADES)
    assert len({shade.word for shade in SHADES}) == len(SHADES)


@pytest.mark.parametrize("detail", ["blocks", "sites"])
def test_charts_are_plain_json_on_a_clear_ground(hgc: Trace, detail: str) -> None:
    sent = json.loads(state_chart(hgc, detail).to_json())  # type: ignore[arg-type]
    assert sent["layout"]["paper_bgcolor"] == "rgba(0, 0, 0, 0)"
    assert sent["layout"]["plot_bgcolor"] == "rgba(0, 0, 0, 0)"


def test_the_page_of_charts_needs_nothing_else(full: Trace, hgc: Trace) -> None:
    charts = charts_of({"full": full, "cached": hgc}, TITLES)
    page = as_page("Charts & <figures>", "of a run", charts)
    assert "<h1>Charts &amp; &lt;figures&gt;</h1>" in page
    assert page.count('class="plotly-graph-div"') == len(charts) == 7
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page) == []
    assert all(f"<h2>{chart.title}</h2>" in page for chart in charts)
    assert len(charts_of({"full": hgc, "cached": hgc}, TITLES)) == len(charts) - 1, (
        "without an observed arm there is nothing to say of drift"
    )


@pytest.fixture(scope="module")
def refreshed() -> tuple[Trace, ChangeCurves]:
    """A run of Block Caching by made-up curves."""
    pipe = tiny.control_pipeline()
    anatomy = measure(Networks.of(pipe), (16, 16), 16, model="tiny")
    found = curves(anatomy, STEPS)
    with cached(pipe, schedules.BlockCaching(delta=DELTA).plan(anatomy, STEPS, found)) as running:
        tiny.latents(pipe, steps=STEPS)
    return running.trace, found


def test_a_kept_layer_has_piled_up_less_than_delta_and_a_refreshed_one_more(
    refreshed: tuple[Trace, ChangeCurves],
) -> None:
    trace, found = refreshed
    seen: Counter[State] = Counter()
    for name, row in trace.plan.table.items():
        if name not in found.mean:
            continue
        for step, gone in enumerate(accumulated(name, trace, found)):
            state = trace.cells[name][step].state
            seen[state] += 1
            if state is State.REUSED:
                assert gone <= DELTA, (name, step)
            elif state is State.COMPUTED and step:
                assert gone > DELTA, (name, step)
        assert set(row) <= set("CR")
    assert seen[State.REUSED] > 3
    assert seen[State.COMPUTED] > 20


def test_the_pile_is_drawn_with_its_threshold_and_a_dot_where_computed(refreshed: tuple[Trace, ChangeCurves]) -> None:
    trace, found = refreshed
    assert schedules.delta_of(trace.plan) == DELTA
    rows = changing_rows(trace, found)
    assert len(rows) > 10
    for row in rows:
        figure = accumulated_chart(row, trace, found, DELTA)
        (line,) = figure.layout.shapes
        assert (line.y0, line.y1) == (DELTA, DELTA)
        names = [site.name for site in row.main if site.name in found.mean]
        assert len(figure.data) == len(names)
        for drawn, name in zip(figure.data, names, strict=True):
            dots = [x for x, size in zip(drawn.x, drawn.marker.size, strict=True) if size]
            cells = trace.cells[name]
            assert dots == [step + 1 for step, cell in enumerate(cells) if cell.state is State.COMPUTED]
    assert not accumulated_chart(rows[0], trace, found, None).layout.shapes


def test_a_group_with_a_threshold_of_its_own_has_its_line(refreshed: tuple[Trace, ChangeCurves]) -> None:
    trace, _ = refreshed
    assert schedules.thresholds_of(trace.plan, trace.cells) == dict.fromkeys(trace.cells, DELTA)
    knobs = {"delta": DELTA, "control": 0.5, "output": 2.0}
    grouped = schedules.thresholds_of(replace(trace.plan, origin=Origin("block_caching", knobs)), trace.cells)
    assert grouped is not None
    last = max(name.split(".")[2] for name in trace.cells if name.startswith("unet.up_blocks."))
    for name, threshold in grouped.items():
        factor = 0.5 if name.startswith("controlnet.") else 2.0 if name.startswith(f"unet.up_blocks.{last}.") else 1.0
        assert threshold == factor * DELTA or not name.startswith(("unet.", "controlnet."))


def test_the_block_shown_first_is_the_one_in_which_most_piles_up(refreshed: tuple[Trace, ChangeCurves]) -> None:
    trace, found = refreshed
    still = changing_rows(trace, found)[3]
    never = dict.fromkeys((site.name for site in still.main), (0.0,) * STEPS)
    rows = changing_rows(trace, replace(found, mean=found.mean | never))
    assert still not in rows, "of what never moves there is nothing to draw"
    rows = changing_rows(trace, found)
    told = [row for row in rows if accumulated_chart(row, trace, found, None).layout.showlegend]
    assert 0 < len(told) < len(rows), "a legend of more layers than there are colours would mislead"
    piled = [max(max(accumulated(s.name, trace, found)) for s in row.main if s.name in found.mean) for row in told]
    assert most_piled(rows, trace, found) is told[piled.index(max(piled))]


def test_change_curves_are_drawn_with_their_spread(refreshed: tuple[Trace, ChangeCurves]) -> None:
    trace, found = refreshed
    wide = replace(found, spread={name: tuple(value / 4 for value in row) for name, row in found.mean.items()})
    row = changing_rows(trace, wide)[3]
    bands, lines = change_chart(row, wide).data[::2], change_chart(row, wide).data[1::2]
    names = [site.name for site in row.main if site.name in wide.mean]
    for name, band, line in zip(names, bands, lines, strict=True):
        assert tuple(line.y) == wide.mean[name][1:]
        high, low = band.y[: STEPS - 1], band.y[STEPS - 1 :][::-1]
        assert [(up - down) / 2 for up, down in zip(high, low, strict=True)] == pytest.approx(wide.spread[name][1:])


@pytest.mark.parametrize(
    "origin",
    [
        Origin("full"),
        Origin("another_method", {"delta": 0.2}),
        Origin("imported", called="block caching δ=0.2"),
        Origin("block_caching", {"delta": 0.2}, edited=True),
    ],
    ids=lambda origin: origin.words,
)
def test_other_plans_have_no_delta(origin: Origin) -> None:
    assert schedules.delta_of(Plan(origin, 4, "tiny")) is None
    assert schedules.thresholds_of(Plan(origin, 4, "tiny"), ["unet.mid_block"]) is None


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (giga(18.2e12), "18.2 T"),
        (giga(6.7e12), "6.70 T"),
        (giga(114.4e9), "114 G"),
        (giga(999.96e9), "1000 G"),
        (giga(12), "12"),
        (size(15.5 * 2**20), "15.5 MB"),
        (size(900), "900 B"),
        (seconds(812.4), "812 ms"),
        (seconds(2480), "2.48 s"),
        (duration(34.2), "35 s"),
        (duration(255), "4 min"),
    ],
)
def test_quantities_keep_three_figures(said: str, wanted: str) -> None:
    assert said == wanted


def test_a_score_that_is_an_error_is_charted_downwards() -> None:
    """Depth's: in grey levels, the axis turned over, so that up is better all the same."""
    points = [Point("HGC", "50%", "a", 0.5, 1e9, 10, 40, 0.9, 0.1, 14.2)]
    figure = pareto_chart(points, "share", "control_error")
    assert figure.layout.yaxis.autorange == "reversed"
    assert "14.2" in figure.data[0].text[0]
    assert "%" not in figure.data[0].text[0].split("<br>")[-1]
    assert all(is_error(measure.title) == (control in ERRORS) for control, measure in MEASURES.items())
