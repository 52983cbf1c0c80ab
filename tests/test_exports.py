"""A trace's other forms, read back as the programs that they are for read them."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any

import pytest
import tiny

from hgc.cache import schedules
from hgc.cache.anatomy import UNGUIDED, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.sites import Networks
from hgc.cache.running.engine import cached
from hgc.cache.trace import Trace
from hgc.results.exports import COLUMNS, to_csv, to_perfetto

STEPS = 5
# What the Trace Event Format asks of every event, and of complete ones and metadata beside.
EVERY_EVENT = {"ph": str, "name": str, "pid": int, "tid": int, "args": dict}
MORE = {"X": {"cat": str, "ts": float, "dur": float}, "M": {}}
METADATA = {"process_name", "thread_name"}


@pytest.fixture(scope="module")
def arms() -> dict[str, Trace]:
    pipe = tiny.control_pipeline()
    anatomy = measure(Networks.of(pipe), (16, 16), 16, model="tiny")
    plans = {"full": schedules.full(anatomy, STEPS), "cached": schedules.HGC(gate=4 / STEPS).plan(anatomy, STEPS)}
    traces = {}
    for name, plan in plans.items():
        with cached(pipe, plan, observe=True) as run:
            tiny.latents(pipe, steps=STEPS)
        traces[name] = run.trace
    return traces


@pytest.mark.parametrize("arm", ["full", "cached"])
def test_the_table_has_a_row_for_every_cell(arms: dict[str, Trace], arm: str) -> None:
    trace = arms[arm]
    rows = list(csv.DictReader(StringIO(to_csv(trace))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == STEPS * len(trace.sites)
    kinds = {site.name: site.kind for site in trace.sites}
    for row in rows:
        cell = trace.cells[row["site"]][int(row["step"]) - 1]
        assert (row["state"], row["reason"]) == (cell.state.name.lower(), cell.reason)
        assert row["kind"] == kinds[row["site"]]
        assert (int(row["macs_paper"]), int(row["macs_full"])) == (cell.macs_paper, cell.macs_full)
        assert float(row["ms"]) == pytest.approx(cell.latency_ms, abs=1e-4)
        assert row["age"] == ("" if cell.age is None else str(cell.age))
        assert (float(row["drift"]) if row["drift"] else None) == cell.drift


def test_the_table_says_which_branches_ran(arms: dict[str, Trace]) -> None:
    rows = list(csv.DictReader(StringIO(to_csv(arms["cached"]))))
    ran = {2: "guided and unguided", 1: "guided"}
    for row in rows:
        branches = arms["cached"].branches[int(row["step"]) - 1]
        assert row["branch"] == ("unguided" if row["site"] == UNGUIDED else ran[branches])
    assert {row["branch"] for row in rows} == {"unguided", *ran.values()}


def events_of(arms: dict[str, Trace]) -> list[dict[str, Any]]:
    """The events of an export, each checked against the format."""
    found = json.loads(to_perfetto(arms))
    assert found["displayTimeUnit"] in ("ms", "ns")
    for event in found["traceEvents"]:
        wanted = EVERY_EVENT | MORE[event["ph"]]
        assert event.keys() == wanted.keys()
        for key, kind in wanted.items():
            assert isinstance(event[key], (int, float) if kind is float else kind), key
        if event["ph"] == "M":
            assert event["name"] in METADATA
            assert isinstance(event["args"]["name"], str)
        else:
            assert event["ts"] >= 0
            assert event["dur"] > 0
    return list(found["traceEvents"])


def test_events_of_a_track_lie_inside_each_other_or_apart(arms: dict[str, Trace]) -> None:
    """What viewers ask of complete events; rounded to a thousandth of a microsecond, they may touch by as much."""
    for track in (1, 2):
        spans = [event for event in events_of(arms) if event["ph"] == "X" and event["tid"] == track]
        open_until: list[float] = []
        for event in spans:
            end = event["ts"] + event["dur"]
            while open_until and open_until[-1] <= event["ts"] + 0.01:
                open_until.pop()
            assert all(end <= until + 0.01 for until in open_until), event["name"]
            open_until.append(end)


def test_a_track_holds_its_arms_steps_and_timed_sites(arms: dict[str, Trace]) -> None:
    events = events_of(arms)
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert names == {1: "full: full", 2: f"cached: {arms['cached'].plan.name}"}
    for track, trace in enumerate(arms.values(), 1):
        mine = [event for event in events if event["tid"] == track and event["ph"] == "X"]
        steps = [event for event in mine if event["cat"] == "step"]
        assert [event["dur"] / 1e3 for event in steps] == pytest.approx(trace.step_ms, abs=1e-5)
        assert sum(event["args"]["macs_paper"] for event in steps) == trace.macs.paper
        timed = [cell for cell in trace.each() if cell.state is State.COMPUTED and cell.latency_ms]
        assert len(mine) - len(steps) == len(timed) > 0
        assert sum(e["dur"] for e in mine if e["cat"] != "step") / 1e3 == pytest.approx(
            sum(cell.latency_ms for cell in timed), rel=1e-4
        )
