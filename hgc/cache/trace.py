"""A trace: the table as executed, with the reason, cost and age of every cell. Plain data, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from hgc.cache.anatomy import Kind, Macs, State
from hgc.cache.plan import Plan


@dataclass(frozen=True)
class Cell:
    """What became of one site in one step.

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
        }

    def to_json(self) -> str:
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """Raises ValueError when the text is not a trace."""
        try:
            data = json.loads(text)
            cells = {
                name: tuple(Cell(**{**cell, "state": State(cell["state"])}) for cell in row)
                for name, row in data["cells"].items()
            }
            sites = tuple(TracedSite(**{**site, "kind": Kind(site["kind"])}) for site in data["sites"])
            return cls(
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
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a trace ({type(error).__name__}: {error}); export it again from a run") from error

    @property
    def digest(self) -> str:
        """Twelve hex digits that name what was executed, times aside."""
        executed = {name: "".join(cell.state for cell in row) for name, row in self.cells.items()}
        return sha256(json.dumps([self.plan.digest, executed], sort_keys=True).encode()).hexdigest()[:12]


def _plain(cell: Cell) -> dict[str, Any]:
    """A cell as JSON; few are verified."""
    found = asdict(cell)
    if cell.forecast_error is None:
        del found["forecast_error"]
    return found
