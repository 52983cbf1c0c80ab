"""How far values move in a run that computes everything, beside the steps in which another run kept them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch

from hgc.cache.anatomy import Kind, State
from hgc.cache.forecast import relative_l1
from hgc.cache.trace import Cell, Trace

Span = tuple[str, int, int]  # a site, a step, and the earlier step that it is compared with


def last_computed(row: Sequence[Cell]) -> list[int | None]:
    """For every step of a site the latest step before it in which the site was computed."""
    steps: list[int | None] = []
    latest = None
    for step, cell in enumerate(row):
        steps.append(latest)
        if cell.state is State.COMPUTED:
            latest = step
    return steps


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


class DriftLook:
    """A witness of a run that computes everything: the relative L1 change of the values of every span asked for."""

    def __init__(self, images: int, spans: Collection[Span]) -> None:
        self._images = images
        self._earlier: dict[tuple[str, int], list[int]] = {}
        self._until: dict[tuple[str, int], int] = {}
        for site, step, earlier in spans:
            self._earlier.setdefault((site, step), []).append(earlier)
            self._until[site, earlier] = max(step, self._until.get((site, earlier), step))
        self._values: dict[str, dict[int, torch.Tensor]] = {}
        self._moved: dict[Span, torch.Tensor] = {}

    def __call__(self, kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        """Compares a value's guided half with the earlier ones, and keeps it while a later step wants it."""
        guided, past = value[-self._images :], self._values.setdefault(site, {})
        for earlier in self._earlier.get((site, step), ()):
            if earlier in past:
                self._moved[site, step, earlier] = relative_l1(guided, past[earlier])
        for earlier in [old for old in past if self._until[site, old] <= step]:
            del past[earlier]
        if (site, step) in self._until:
            past[step] = guided.clone()

    @property
    def moved(self) -> dict[Span, float]:
        """Read once the run is over, so that nothing waits for a device in between."""
        return {span: float(change) for span, change in self._moved.items()}
