"""A trace: the table as executed, with the reason, cost and age of every cell. Plain data, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from math import inf
from typing import Any

from hgc import json_text, limits
from hgc.cache.anatomy import Kind, Macs, State
from hgc.cache.plan import Plan


@dataclass(frozen=True)
class Cell:
    """The state of one site in one step, as executed.

    `macs_*` are the site's own, without the sites inside it, over all images and branches; `latency_ms` includes them
    and is 0 where nobody looked: sites are timed on demand.
    `age` is in steps since the value was computed (0 when computed now), None for dead and absent sites. `drift` is the
    relative L1 change since the value computed before, measured only in observed runs and in inspections, where a kept
    cell's is how far the value that full compute gives there has moved since the kept one was computed.
    `forecast_error` is the relative L1 error of what the plan would have put in a computed cell, where it was verified.
    """

    state: State
    reason: str
    macs_paper: int = 0
    macs_full: int = 0
    latency_ms: float = 0.0
    age: int | None = None
    drift: float | None = None
    forecast_error: float | None = None


@dataclass(frozen=True)
class TracedSite:
    name: str
    kind: Kind
    block: str
    parent: str | None


MODES = ("eager", "recorded", "replayed", "kept")


@dataclass(frozen=True)
class Replays:
    """How a run went through recordings of its rows.

    `steps[i]` is one of MODES: `eager` when a network ran eagerly, as every row does when it is met first, `recorded`
    (and then replayed), `replayed`, or `kept` when none was called. In replayed steps the cells' milliseconds are those
    of that first run. `rows`, `size_bytes`: recordings there are and what they take, earlier runs' included;
    `recording_ms` is what recording took in this run.
    """

    steps: tuple[str, ...]
    rows: int
    size_bytes: int
    recording_ms: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trace:
    """`cells[site][i]` is step i; `branches[i]` the guidance branches it ran; `step_ms[i]` the time in the denoiser.

    An interrupted run has fewer steps than its plan.
    """

    plan: Plan
    model: str
    images: int
    sites: tuple[TracedSite, ...]
    cells: Mapping[str, tuple[Cell, ...]]
    branches: tuple[int, ...]
    step_ms: tuple[float, ...]
    peak_bytes: int
    device: str
    dtype: str
    replays: Replays | None = None

    @property
    def steps(self) -> int:
        return len(self.branches)

    def each(self) -> Iterator[Cell]:
        return (cell for row in self.cells.values() for cell in row)

    @cached_property
    def macs(self) -> Macs:
        return sum(self.macs_per_step, Macs())

    @cached_property
    def macs_per_step(self) -> tuple[Macs, ...]:
        rows = self.cells.values()
        return tuple(
            Macs(sum(row[i].macs_paper for row in rows), sum(row[i].macs_full for row in rows))
            for i in range(self.steps)
        )

    def count(self, *wanted: State, kind: Kind | None = None) -> int:
        names = [site.name for site in self.sites if kind is None or site.kind is kind]
        return sum(cell.state in wanted for name in names for cell in self.cells[name])

    @property
    def attention_hits(self) -> int:
        """Cross-attentions answered from the cache."""
        return self.count(State.REUSED, State.FORECAST, kind=Kind.CROSS_ATTENTION)

    @property
    def attention_misses(self) -> int:
        """Cross-attentions computed."""
        return self.count(State.COMPUTED, kind=Kind.CROSS_ATTENTION)

    @property
    def nothing_reused(self) -> bool:
        return self.count(State.REUSED, State.FORECAST) == 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "plan": self.plan.as_dict(),
            "model": self.model,
            "images": self.images,
            "device": self.device,
            "dtype": self.dtype,
            "branches": list(self.branches),
            "step_ms": list(self.step_ms),
            "peak_bytes": self.peak_bytes,
            "macs_paper": self.macs.paper,
            "macs_full": self.macs.full,
            "nothing_reused": self.nothing_reused,
            "sites": [asdict(site) for site in self.sites],
            "cells": {name: [_plain(cell) for cell in row] for name, row in self.cells.items()},
        } | ({} if self.replays is None else {"replays": asdict(self.replays)})

    def to_json(self) -> str:
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """Raises ValueError when the text is not a trace, or none that a run could have written."""
        if len(text) > limits.TRACE_CHARS:
            raise ValueError(f"not a trace: {len(text):,} characters, at most {limits.TRACE_CHARS:,} are read")
        try:
            data = json_text.parsed(text)
            cells = {
                name: tuple(Cell(**{**cell, "state": State(cell["state"])}) for cell in row)
                for name, row in data["cells"].items()
            }
            sites = tuple(TracedSite(**{**site, "kind": Kind(site["kind"])}) for site in data["sites"])
            trace = cls(
                plan=Plan.from_dict(data["plan"]),
                model=data["model"],
                images=data["images"],
                sites=sites,
                cells=cells,
                branches=tuple(data["branches"]),
                step_ms=tuple(data["step_ms"]),
                peak_bytes=data["peak_bytes"],
                device=data["device"],
                dtype=data["dtype"],
                replays=_replays(data.get("replays")),
            )
            _check(trace)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(f"not a trace ({type(error).__name__}: {error}); export it again from a run") from error
        return trace

    @property
    def digest(self) -> str:
        """Twelve hex digits that name what was executed, times aside."""
        executed = {name: "".join(cell.state for cell in row) for name, row in self.cells.items()}
        return sha256(json.dumps([self.plan.digest, executed], sort_keys=True).encode()).hexdigest()[:12]


def _check(trace: Trace) -> None:
    """Raises ValueError where parts of a trace that was read do not fit each other, or are of another kind."""
    words = (
        trace.model,
        trace.device,
        trace.dtype,
        *(word for site in trace.sites for word in (site.name, site.block)),
    )
    _require(all(isinstance(word, str) for word in words), "names that are not words")
    _require(all(site.parent is None or isinstance(site.parent, str) for site in trace.sites), "parents without names")
    _require(_whole(trace.images) and trace.images > 0, "images that are not a number")
    _require(_whole(trace.peak_bytes), "peak_bytes that are not a number")
    _require(0 < trace.steps <= min(trace.plan.steps, limits.STEPS), "more steps than its plan, or none")
    _require(all(_whole(count) and count <= 16 for count in trace.branches), "branches that are not numbers")
    _require(all(map(_real, trace.step_ms)) and len(trace.step_ms) == trace.steps, "not a time for each step")
    names = [site.name for site in trace.sites]
    _require(len(set(names)) == len(names) and set(names) == set(trace.cells), "not a row of cells for each site")
    _require(all(len(row) == trace.steps for row in trace.cells.values()), "not a cell for each step")
    _require(all(map(_sound, trace.each())), "cells whose figures are not numbers")
    replays = trace.replays
    _require(replays is None or _played(replays, trace.steps), "replays that say nothing of its steps")


def _require(true: bool, otherwise: str) -> None:
    if not true:
        raise ValueError(f"it has {otherwise}")


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _real(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < inf


def _sound(cell: Cell) -> bool:
    maybe = (cell.drift, cell.forecast_error)
    return (
        isinstance(cell.reason, str)
        and _whole(cell.macs_paper)
        and _whole(cell.macs_full)
        and _real(cell.latency_ms)
        and (cell.age is None or _whole(cell.age))
        and all(value is None or type(value) in (int, float) for value in maybe)
    )


def _played(replays: Replays, steps: int) -> bool:
    words = len(replays.steps) == steps and set(replays.steps) <= set(MODES)
    numbers = _whole(replays.rows) and _whole(replays.size_bytes) and _real(replays.recording_ms)
    return words and numbers and all(isinstance(note, str) for note in replays.notes)


def _replays(data: Mapping[str, Any] | None) -> Replays | None:
    return None if data is None else Replays(**{**data, "steps": tuple(data["steps"]), "notes": tuple(data["notes"])})


def _plain(cell: Cell) -> dict[str, Any]:
    """A cell as JSON; few are verified."""
    fields = asdict(cell)
    if cell.forecast_error is None:
        del fields["forecast_error"]
    return fields
