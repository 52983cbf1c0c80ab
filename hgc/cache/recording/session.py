"""A run's way through recordings: every call of a network is run eagerly, recorded, or replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import nn

from hgc.cache.recording.buffers import (
    layout_of,
    load,
    settings,
    signature_of,
    tensors_of,
    timed_by_tensor,
    with_tensors,
    writes,
)
from hgc.cache.recording.network import looked_on
from hgc.cache.recording.rows import RecordedRow, Recording, Recordings, Value
from hgc.cache.trace import MODES, Replays

REASON_CHARS = 200
Function = Callable[..., Any]
Live = Callable[[], torch.Tensor]


class CaptureFrame(Protocol):
    """Stands between a network's sites and the run's values while one call of the network is under way."""

    timed: bool

    def stand_in(self, name: str, part: int, dead: bool, live: Live) -> torch.Tensor:
        """The value that a site hands on without being computed; `live` gives what the run has for it."""

    def computed(self, name: str, part: int, value: torch.Tensor, span: Any, live: Callable[[], None]) -> None:
        """Takes notice of what a site computed; `live` keeps it in the run."""


class Host(Protocol):
    """The run, as a session sees it."""

    frame: CaptureFrame | None

    def lend(self, name: str, part: int) -> torch.Tensor:
        """The run's value of a site that is not computed in this step, to be read."""

    def take_in(self, name: str, part: int, value: torch.Tensor) -> None:
        """Keeps a copy of what a site computed, where the plan has a use for it."""

    def replayed(self, network: str, spans: Mapping[str, tuple[Any, ...]]) -> None:
        """Notes that a network's call was replayed, and the times of its sites when the row was met first."""


@dataclass
class Meeting:
    """The first run of a row, eager: notes what is read and how long every site takes."""

    timed = True
    reads: dict[Value, bool] = field(default_factory=dict)  # whether nobody consumes it
    spans: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def stand_in(self, name: str, part: int, dead: bool, live: Live) -> torch.Tensor:
        self.reads[name, part] = dead
        return live()

    def computed(self, name: str, part: int, value: torch.Tensor, span: Any, live: Callable[[], None]) -> None:
        self.spans[name] = (*self.spans.get(name, ()), span)
        live()

    def row(self) -> RecordedRow:
        kept, blank = (tuple(v for v, dead in self.reads.items() if dead is wanted) for wanted in (False, True))
        return RecordedRow(kept, blank, self.spans)


@dataclass
class Capturing:
    """A call while it is recorded: reads buffers, and hands what is computed to the recording instead of the run."""

    timed = False
    buffers: Mapping[Value, torch.Tensor]
    kept: Collection[str]
    out: dict[Value, torch.Tensor] = field(default_factory=dict)
    written: dict[Value, int] = field(default_factory=dict)

    def stand_in(self, name: str, part: int, dead: bool, live: Live) -> torch.Tensor:
        return self.buffers[name, part]

    def computed(self, name: str, part: int, value: torch.Tensor, span: Any, live: Callable[[], None]) -> None:
        if name in self.kept:
            self.out[name, part] = value
            self.written[name, part] = writes(value)

    @property
    def overwritten(self) -> bool:
        """Whether a value was written to after its site had computed it."""
        return any(writes(value) != self.written[key] for key, value in self.out.items())


class CaptureRefused(RuntimeError):
    """A row that cannot be recorded; half a sentence."""


class CaptureSession:
    """One run. `kept` are the sites that the plan keeps in some step; with an `onlooker` every value has to be seen."""

    def __init__(self, recordings: Recordings, host: Host, kept: Collection[str], onlooker: bool) -> None:
        self._recordings, self._host, self._kept, self._onlooker = recordings, host, frozenset(kept), onlooker
        self._mine = False  # whether this run has the recordings to itself
        self._before: int | None = None  # recordings of earlier runs, until they made room
        self._step: Counter[str] = Counter()
        self._recording_ms = 0.0
        self._modes: list[str] = []
        self._notes: dict[str, None] = {}

    def call(self, network: str, net: nn.Module, row: Hashable, function: Function, call: Mapping[str, Any]) -> Any:
        """The answer of the network's forward to these arguments. `row` names what its sites do in this step."""
        call = timed_by_tensor(call)
        key, why = self._key(net, row, call)
        if why is not None:
            return self._eagerly(network, why, function, call)
        reel, renewed = self._recordings.reel(net)
        if renewed:
            self._notes[f"{network} has changed: its rows are recorded anew"] = None
        if reel.refused is not None:
            return self._eagerly(network, reel.refused, function, call)
        if key not in reel.rows:
            return self._met(reel.rows, key, function, call)
        known = reel.rows[key]
        if known.refused is not None:
            return self._eagerly(network, known.refused, function, call)
        return self._from(network, known, function, call)

    def end_step(self) -> None:
        self._modes.append(next((mode for mode in MODES if self._step[mode]), "kept"))
        self._step.clear()

    def replays(self) -> Replays:
        """How the run went so far."""
        store = self._recordings
        return Replays(tuple(self._modes), store.count, store.size_bytes, self._recording_ms, tuple(self._notes))

    def close(self) -> None:
        """Leaves the recordings to other runs."""
        if self._mine:
            self._mine = False
            self._recordings.lock.release()

    def _key(self, net: nn.Module, row: Hashable, call: Mapping[str, Any]) -> tuple[Hashable, str | None]:
        """The row under which the call is known, or why it cannot be recorded."""
        if (why := "somebody looks at every value" if self._onlooker else looked_on()) is not None:
            return None, why
        if not self._mine:
            self._mine = self._recordings.lock.acquire(blocking=False)
            if not self._mine:
                return None, "another run is using the recordings"
        if self._before is None:
            self._before = self._recordings.count
        device = next(tensors_of(call)).device
        if self._recordings.capture(device) is None:
            return None, f"a {device.type} device records nothing"
        try:
            return (row, signature_of(call), settings()), None
        except TypeError as error:
            return None, f"an argument cannot be compared ({error})"

    def _eagerly(self, network: str, why: str, function: Function, call: Mapping[str, Any]) -> Any:
        self._notes[f"{network} runs eagerly: {why}"] = None
        self._step["eager"] += 1
        return function(**call)

    def _met(
        self, rows: dict[Hashable, RecordedRow], key: Hashable, function: Function, call: Mapping[str, Any]
    ) -> Any:
        meeting = self._host.frame = Meeting()
        try:
            out = function(**call)
        finally:
            self._host.frame = None
        rows[key] = meeting.row()
        self._step["eager"] += 1
        return out

    def _from(self, network: str, row: RecordedRow, function: Function, call: Mapping[str, Any]) -> Any:
        """The call, replayed; recorded before where that was not done for what stands in now."""
        given = [self._host.lend(name, part) for name, part in row.reads]
        layouts = tuple(layout_of(value) for value in given)
        if layouts in row.recordings:
            recording = row.recordings[layouts]
            load(zip((*recording.arguments, *recording.stand_ins), (*tensors_of(call), *given), strict=True))
            self._step["replayed"] += 1
        else:
            try:
                recording = row.recordings[layouts] = self._record(row, given, function, call)
            except (CaptureRefused, RuntimeError) as error:
                why = self._refusal(error)
                row.refused = None if isinstance(error, torch.OutOfMemoryError) else why
                return self._eagerly(network, why, function, call)
        recording.captured.replay()
        out, computed = recording.captured.out
        for (name, part), value in computed.items():
            self._host.take_in(name, part, value)
        self._host.replayed(network, row.spans)
        return out

    def _record(
        self, row: RecordedRow, given: list[torch.Tensor], function: Function, call: Mapping[str, Any]
    ) -> Recording:
        """Loaded with these arguments. Raises CaptureRefused where it would differ from the call, and RuntimeError."""
        self._make_room()
        begun, store = perf_counter(), self._recordings.buffers
        arguments = tuple(store.at(at, tensor) for at, tensor in enumerate(tensors_of(call)))
        stand_ins = tuple(store.at(value, tensor) for value, tensor in zip(row.reads, given, strict=True))
        # One buffer serves all dead sites of a shape: nobody reads what is in it.
        blanks = tuple(store.at("blank", self._host.lend(name, part)) for name, part in row.blanks)
        load(zip((*arguments, *stand_ins), (*tensors_of(call), *given), strict=True))
        places = iter(arguments)
        fixed = with_tensors(dict(call), lambda _: next(places).tensor)
        own = dict(zip((*row.reads, *row.blanks), (buffer.tensor for buffer in (*stand_ins, *blanks)), strict=True))
        frame = self._host.frame = Capturing(own, self._kept)
        before = [writes(buffer.tensor) for buffer in (*arguments, *stand_ins)]

        def once() -> tuple[Any, dict[Value, torch.Tensor]]:
            out = function(**fixed)
            if frame.overwritten or before != [writes(buffer.tensor) for buffer in (*arguments, *stand_ins)]:
                raise CaptureRefused("the network writes into what it was given, or into values that are kept")
            return out, dict(frame.out)

        capture = self._recordings.capture(next(tensors_of(call)).device)
        assert capture is not None  # `_key` saw to it
        try:
            captured = capture(once)
        finally:
            self._host.frame = None
        self._step["recorded"] += 1
        self._recording_ms += (perf_counter() - begun) * 1e3
        return Recording(captured, arguments, stand_ins)

    def _make_room(self) -> None:
        """Lets go of earlier recordings when the limit is reached. Raises CaptureRefused where that is not enough."""
        if self._recordings.size_bytes < self._recordings.limit_bytes:
            return
        if self._before:
            self._before = 0
            self._recordings.clear()
            self._notes["what earlier runs recorded was let go to make room"] = None
            return
        raise CaptureRefused(f"recordings have reached their limit of {self._recordings.limit_bytes >> 20} MiB")

    def _refusal(self, error: Exception) -> str:
        if isinstance(error, torch.OutOfMemoryError):
            self._recordings.clear()
            return "out of memory while recording; all recordings were let go"
        why = str(error).split("\n")[0][:REASON_CHARS]  # a compiler's fills pages
        return why if isinstance(error, CaptureRefused) else f"it could not be recorded ({why})"
