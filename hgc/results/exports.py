"""The files of a comparison: its trace in three forms, and its charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hgc.charts import as_page, charts_of
from hgc.results.comparison import Comparison
from hgc.results.traces import to_csv, to_perfetto


def trace_json(comparison: Comparison) -> str:
    """The cached arm's trace, which `Trace.from_json` reads again."""
    return comparison.cached.trace.to_json()


def trace_csv(comparison: Comparison) -> str:
    """The cached arm's trace, a row a cell."""
    return to_csv(comparison.cached.trace)


def trace_perfetto(comparison: Comparison) -> str:
    """Every arm's steps and sites on a track of its own, for ui.perfetto.dev or chrome://tracing."""
    return to_perfetto({name: arm.trace for name, arm in comparison.arms.items()})


def charts_html(comparison: Comparison) -> str:
    """Every chart of the run in one file, which works without a connection and gives each as PNG."""
    figures, trace = comparison.figures(), comparison.cached.trace
    about = (
        f"{figures['model']}, plan {figures['plan']}, {figures['macs_ratio']:.1%} of the full MACs. Measured on "
        f"{figures['device']} in {figures['dtype']}: one picture, {figures['steps']} steps, {figures['sampler']}, "
        f"guidance {figures['guidance']:g}, seed {figures['seed']}. Trace {trace.digest}. The camera in a chart's "
        "corner saves it as PNG."
    )
    return as_page("What the cache did", about, charts_of(comparison.full.trace, trace))


EXPORTS: Mapping[str, Callable[[Comparison], str]] = {
    "trace.json": trace_json,
    "trace.csv": trace_csv,
    "trace.perfetto.json": trace_perfetto,
    "charts.html": charts_html,
}
