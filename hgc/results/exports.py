"""A comparison to take away: its figures, its trace as JSON, CSV and for Perfetto, and its charts."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from hgc.cache.anatomy import UNGUIDED, State
from hgc.cache.trace import Trace, TracedSite
from hgc.charts import as_page, charts_of
from hgc.results.opened import Opened

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison

COLUMNS = ("step", "site", "kind", "branch", "state", "reason", "macs_paper", "macs_full", "ms", "age", "drift")
BRANCHES = {0: "none", 1: "guided", 2: "guided and unguided"}
NOTE = (
    "Durations are measured. A trace keeps no starting times: sites stand one after another in the order in which a "
    "step meets them, so that the gaps of a step, glue between sites, are pushed to its end."
)
PROCESS = 1


def to_csv(trace: Trace) -> str:
    """A row a cell, steps counted from 1; empty where nothing was measured. `ms` includes the sites inside a site."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for step in range(trace.steps):
        for site in trace.sites:
            cell = trace.cells[site.name][step]
            figures = (cell.macs_paper, cell.macs_full, round(cell.latency_ms, 4), cell.age, cell.drift)
            branch = "unguided" if site.name == UNGUIDED else BRANCHES[trace.branches[step]]
            row = (step + 1, site.name, site.kind.value, branch, cell.state.name.lower(), cell.reason, *figures)
            table.writerow(["" if value is None else value for value in row])
    return text.getvalue()


def to_perfetto(arms: Mapping[str, Trace]) -> str:
    """One track an arm, its steps in a row, each step's timed sites inside it, those inside a site one level deeper.

    The JSON object form of the Trace Event Format: complete events, times in microseconds.
    """
    events = [_named("process_name", 0, "HGC Studio")]
    for track, (arm, trace) in enumerate(arms.items(), 1):
        events += [_named("thread_name", track, f"{arm}: {trace.plan.name}"), *_track(trace, track)]
    about = {
        arm: {"model": t.model, "device": t.device, "dtype": t.dtype, "digest": t.digest} for arm, t in arms.items()
    }
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"note": NOTE, "arms": about}})


def _named(what: str, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": PROCESS, "tid": track, "args": {"name": name}}


def _track(trace: Trace, track: int) -> Iterator[dict[str, Any]]:
    inside: dict[str | None, list[TracedSite]] = {}
    for site in trace.sites:
        inside.setdefault(site.parent, []).append(site)
    begin_us = 0.0
    for step, latency_ms in enumerate(trace.step_ms):
        counts = Counter(row[step].state.name.lower() for row in trace.cells.values())
        macs = trace.macs_per_step[step]
        args = {"branches": trace.branches[step], "macs_paper": macs.paper, "macs_full": macs.full, **counts}
        yield _span(f"step {step + 1}", "step", track, begin_us, latency_ms, args)
        yield from _sites(trace, step, inside, None, track, begin_us)
        begin_us += latency_ms * 1e3


def _sites(
    trace: Trace,
    step: int,
    inside: Mapping[str | None, list[TracedSite]],
    around: str | None,
    track: int,
    begin_us: float,
) -> Iterator[dict[str, Any]]:
    """The timed sites inside `around`, one after another."""
    for site in inside.get(around, ()):
        cell = trace.cells[site.name][step]
        if cell.state is not State.COMPUTED or not cell.latency_ms:
            continue
        args = {"reason": cell.reason, "macs_paper": cell.macs_paper, "macs_full": cell.macs_full}
        yield _span(site.name, site.kind.value, track, begin_us, cell.latency_ms, args)
        yield from _sites(trace, step, inside, site.name, track, begin_us)
        begin_us += cell.latency_ms * 1e3


def _span(
    name: str, category: str, track: int, begin_us: float, latency_ms: float, args: Mapping[str, Any]
) -> dict[str, Any]:
    times = {"ts": round(begin_us, 3), "dur": round(latency_ms * 1e3, 3)}
    return {"ph": "X", "name": name, "cat": category, "pid": PROCESS, "tid": track, **times, "args": dict(args)}


def trace_json(opened: Opened) -> str:
    """The arm's trace, which `Trace.from_json` reads again."""
    return opened.trace.to_json()


def trace_csv(opened: Opened) -> str:
    """The arm's trace, a row a cell."""
    return to_csv(opened.trace)


def trace_perfetto(opened: Opened) -> str:
    """Every arm's steps and sites on a track of its own, for ui.perfetto.dev or chrome://tracing."""
    return to_perfetto({name: arm.trace for name, arm in opened.comparison.arms.items()})


def charts_html(opened: Opened) -> str:
    """Every chart of the arm in one file, which works without a connection and gives each as PNG."""
    figures, trace = opened.comparison.figures(), opened.trace
    about = (
        f"{figures['model']}, plan {trace.plan.name}, {opened.share:.1%} of the full MACs. Measured on "
        f"{figures['device']} in {figures['dtype']}: one picture, {trace.steps} steps, {figures['sampler']}, "
        f"guidance {figures['guidance']:g}, seed {figures['seed']}. Trace {trace.digest}. The camera in a chart's "
        "corner saves it as PNG."
    )
    return as_page("What each step did", about, charts_of(opened.traces, opened.titles))


EXPORTS: Mapping[str, Callable[[Opened], str]] = {
    "trace.json": trace_json,
    "trace.csv": trace_csv,
    "trace.perfetto.json": trace_perfetto,
    "charts.html": charts_html,
}


def result_of(comparison: Comparison, notes: Iterable[str] = (), with_trace: bool = False) -> dict[str, Any]:
    """Every figure, what should be known about the run, and the request that makes it again; the trace where wanted."""
    result = comparison.figures() | {
        "notes": [*notes, *comparison.notes],
        "request": comparison.request.model_dump(mode="json"),
    }
    return result | {"trace": comparison.cached.trace.as_dict()} if with_trace else result
