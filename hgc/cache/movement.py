"""How far a site's value has moved since it was last computed, put into traces. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hgc.cache.anatomy import State
from hgc.cache.trace import Cell, Trace

Span = tuple[str, int, int]  # a site, a step, and the earlier step that it is compared with


def last_computed(row: Sequence[Cell]) -> list[int | None]:
    """For every step of a site the latest step before it in which the site was computed."""
    found: list[int | None] = []
    latest = None
    for step, cell in enumerate(row):
        found.append(latest)
        if cell.state is State.COMPUTED:
            latest = step
    return found


def spans(*traces: Trace) -> set[Span]:
    """Every pair of steps whose values have to be compared to fill in the drift of these traces."""
    return {
        (name, step, earlier)
        for trace in traces
        for name, row in trace.cells.items()
        for step, earlier in enumerate(last_computed(row))
        if earlier is not None and row[step].state is not State.ABSENT
    }


def with_drift(trace: Trace, moved: Mapping[Span, float]) -> Trace:
    """The same trace with the drift of every cell that was measured."""
    cells = {
        name: tuple(
            cell if earlier is None else replace(cell, drift=moved.get((name, step, earlier)))
            for step, (cell, earlier) in enumerate(zip(row, last_computed(row), strict=True))
        )
        for name, row in trace.cells.items()
    }
    return replace(trace, cells=cells)
