"""Writes down and times what a run executes, cheaply; makes the Trace of it when asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Macs, State
from hgc.cache.anatomy.states import blame
from hgc.cache.plan import Plan
from hgc.cache.running.clock import PLANNED, Step
from hgc.cache.running.stopwatch import Stopwatch
from hgc.cache.trace import Cell, Replays, Trace, TracedSite

GLIMPSED = "computed for the gate"


Spans = Mapping[str, tuple[Any, ...]]


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
    """Notes are made where a handler stands; what the others did follows from what was asked of the step.

    Nothing is read from the device before `trace`.
    """

    def __init__(
        self,
        plan: Plan,
        anatomy: Anatomy,
        images: int,
        like: torch.Tensor,
        watch: Stopwatch,
        attended: Collection[str],
    ) -> None:
        self._plan, self._anatomy, self._images, self.watch = plan, anatomy, images, watch
        self._attended = {PREDICTION, UNGUIDED, *attended}
        self._device, self._dtype = str(like.device), str(like.dtype).removeprefix("torch.")
        self._notes: list[dict[str, _Note]] = []
        self._calls: list[dict[str, int]] = []  # the branches of every network that was called
        self._replayed: list[dict[str, Spans]] = []  # of every network that was replayed its sites' times, once taken
        self._glimpsed: list[dict[str, int]] = []  # samples of what was computed for a gate alone
        self._asked: list[Mapping[str, State]] = []
        self._reasons: list[Mapping[str, str]] = []
        self._branches: list[int] = []
        self._spans: list[Any] = []
        self._mark: Any = None

    def begin(self) -> None:
        self._notes.append({})
        self._calls.append({})
        self._replayed.append({})
        self._glimpsed.append({})
        self._mark = self.watch.start()

    def called(self, network: str, branches: int) -> None:
        self._calls[-1][network] = branches

    def replayed(self, network: str, spans: Spans) -> None:
        """The network's call was replayed: what was asked was done, and no handler noted it."""
        self._replayed[-1][network] = spans

    def glimpsed(self, sites: Collection[str], samples: int) -> None:
        """These were computed for a gate to decide the step by."""
        self._glimpsed[-1] |= dict.fromkeys(sites, samples)

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

    def end(self, step: Step, branches: int) -> None:
        self._asked.append(step.states)
        self._reasons.append(step.reasons)
        self._branches.append(branches)
        self._spans.append(self.watch.stop(self._mark))

    def trace(self, peak_bytes: int, replays: Replays | None = None) -> Trace:
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
            replays=replays,
        )

    def _cell(self, site: str, step: int) -> Cell:
        note, asked = self._note(site, step), self._asked[step]
        if (seen := self._glimpsed[step].get(site, 0)) and (note is None or note.state is not State.COMPUTED):
            note = _Note(State.COMPUTED, 0, 0, GLIMPSED if note is None else f"{GLIMPSED}; a kept value stands in")
        if note is None:
            return self._idle(site, asked)
        own = self._anatomy.own_macs[site] * (note.samples + seen) if note.state is State.COMPUTED else Macs()
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
        """The note of a site; one without a handler did what was asked of it, if its network was called."""
        note, network = self._notes[step].get(site), self._anatomy.network_of(site)
        spans = self._replayed[step].get(network)
        if note is not None or self._asked[step][site] is not State.COMPUTED:
            if note is None or spans is None or note.state is not State.COMPUTED:
                return note
            return replace(note, spans=spans.get(site, ()))
        if spans is None and site in self._attended:
            return None
        branches, reason = self._calls[step].get(network), self._reasons[step].get(site, PLANNED)
        return (
            None
            if branches is None
            else _Note(State.COMPUTED, self._images * branches, 0, reason, (spans or {}).get(site, ()))
        )

    def _idle(self, site: str, asked: Mapping[str, State]) -> Cell:
        if site == UNGUIDED:
            return Cell(State.ABSENT, "guidance is off: there is no unguided branch")
        if asked[site] is State.DEAD:
            return Cell(State.DEAD, blame(self._anatomy, asked, site))
        return Cell(State.DEAD, "the pipeline did not call it")
