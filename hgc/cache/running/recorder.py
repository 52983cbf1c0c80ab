"""Writes down what a run executes, cheaply; makes the Trace of it when asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from hgc.cache.anatomy import UNGUIDED, Anatomy, Macs, State, blame
from hgc.cache.plan import Plan
from hgc.cache.running.stopwatch import Stopwatch
from hgc.cache.trace import Cell, Trace, TracedSite


@dataclass
class _Note:
    state: State
    samples: int = 0
    age: int = 0
    reason: str = ""
    spans: tuple[Any, ...] = ()
    drift: torch.Tensor | None = None
    error: torch.Tensor | None = None


class Recorder:
    """Notes are made where the work is done (or not done); nothing is read from the device before `trace`."""

    def __init__(
        self,
        plan: Plan,
        anatomy: Anatomy,
        images: int,
        like: torch.Tensor,
        watch: Stopwatch,
        watched: Collection[str],
    ) -> None:
        self._plan, self._anatomy, self._images, self.watch = plan, anatomy, images, watch
        self._watched = watched
        self._device, self._dtype = str(like.device), str(like.dtype).removeprefix("torch.")
        self._notes: list[dict[str, _Note]] = []
        self._asked: list[Mapping[str, State]] = []
        self._branches: list[int] = []
        self._spans: list[Any] = []
        self._mark: Any = None

    def begin(self) -> None:
        self._notes.append({})
        self._mark = self.watch.start()

    def computed(
        self,
        site: str,
        samples: int,
        reason: str,
        span: Any,
        drift: torch.Tensor | None = None,
        error: torch.Tensor | None = None,
    ) -> None:
        notes = self._notes[-1]
        spans = notes[site].spans if site in notes else ()
        spans = spans if span is None else (*spans, span)
        notes[site] = _Note(State.COMPUTED, samples, 0, reason, spans, drift, error)

    def kept(self, site: str, state: State, age: int, reason: str) -> None:
        self._notes[-1][site] = _Note(state, age=age, reason=reason)

    def end(self, asked: Mapping[str, State], branches: int) -> None:
        self._asked.append(asked)
        self._branches.append(branches)
        self._spans.append(self.watch.stop(self._mark))

    def trace(self, peak_bytes: int) -> Trace:
        done = len(self._asked)
        cells = {s.name: tuple(self._cell(s.name, step) for step in range(done)) for s in self._anatomy}
        return Trace(
            plan=self._plan,
            model=self._anatomy.model,
            images=self._images,
            sites=tuple(TracedSite(s.name, s.kind, s.block, s.parent) for s in self._anatomy),
            cells=cells,
            branches=tuple(self._branches),
            step_ms=tuple(self.watch.latency_ms(span) for span in self._spans),
            peak_bytes=peak_bytes,
            device=self._device,
            dtype=self._dtype,
        )

    def _cell(self, site: str, step: int) -> Cell:
        note, asked = self._note(site, step), self._asked[step]
        if note is None:
            return self._idle(site, asked)
        own = self._anatomy.own_macs[site] * note.samples if note.state is State.COMPUTED else Macs()
        return Cell(
            state=note.state,
            reason=note.reason,
            macs_paper=own.paper,
            macs_full=own.full,
            latency_ms=sum(self.watch.latency_ms(span) for span in note.spans),
            age=note.age,
            drift=None if note.drift is None else float(note.drift),
            forecast_error=None if note.error is None else float(note.error),
        )

    def _note(self, site: str, step: int) -> _Note | None:
        """What was written down; a site that nobody watches did what the site around it did."""
        parent = self._anatomy[site].parent
        if parent is None or site in self._watched:
            return self._notes[step].get(site)
        around = self._note(parent, step)
        computed = around is not None and around.state is State.COMPUTED
        return replace(around, spans=(), drift=None, error=None) if around is not None and computed else None

    def _idle(self, site: str, asked: Mapping[str, State]) -> Cell:
        if site == UNGUIDED:
            return Cell(State.ABSENT, "guidance is off: there is no unguided branch")
        if asked[site] is State.DEAD:
            return Cell(State.DEAD, blame(self._anatomy, asked, site))
        return Cell(State.DEAD, "the pipeline did not call it")
