"""Recordings: of every row of a plan that was met, what a network's call reads, computes and hands over.

A call of a network is a function of its arguments and of the kept values that stand in for what the row leaves out.
Both are copied to where the recording reads them; what it computed is kept by the run as ever. So histories, forecasts
and their weights stay outside, and one recording serves every step with that row, of this picture and of later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from hgc.cache.recording.buffers import Buffer, Buffers
from hgc.cache.recording.capture import Capture, Captured, CompiledRows, Compiler, capture_for, inductor
from hgc.cache.recording.network import Snapshot, refusal_of

LIMIT_BYTES = 8 << 30
Value = tuple[str, int]  # a site and, for sites of several modules, which of them


@dataclass(frozen=True)
class Recording:
    """One captured call, whose `out` is what the network returns and what its sites compute, and all that it reads."""

    captured: Captured
    arguments: tuple[Buffer, ...]
    stand_ins: tuple[Buffer, ...]


@dataclass
class RecordedRow:
    """A network in steps that are alike. Met first it runs eagerly and is timed, met again it is recorded."""

    reads: tuple[Value, ...]  # kept values that stand in for sites
    blanks: tuple[Value, ...]  # sites nobody consumes
    spans: dict[str, tuple[Any, ...]]  # of every site computed, from the eager run
    recordings: dict[Hashable, Recording] = field(default_factory=dict)  # by the layouts of what stands in
    refused: str | None = None


class Reel:
    """The rows of one network as it is."""

    def __init__(self, net: nn.Module) -> None:
        self.rows: dict[Hashable, RecordedRow] = {}
        self.refused = refusal_of(net)
        self._snapshot = Snapshot(net)

    @property
    def still(self) -> bool:
        return self._snapshot.still

    def each(self) -> Iterator[Recording]:
        return (recording for row in self.rows.values() for recording in row.recordings.values())


class Recordings:
    """Recorded rows of any networks, for one run at a time; another run meanwhile is eager.

    They are kept until the networks are gone, `clear` is called, or more than `limit_bytes` would be taken: then those
    of earlier runs make room, and where all are of this run, what is not recorded yet runs eagerly. With `compile` each
    row goes through torch's compiler first, for minutes, and its numbers differ from an eager run's by rounding; on a
    device without graphs the compiled row alone is run.
    """

    def __init__(
        self,
        limit_bytes: int = LIMIT_BYTES,
        capture_for: Callable[[torch.device], Capture | None] = capture_for,
        *,
        compile: bool = False,
        compiler: Compiler = inductor,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.compiled = compile
        self.lock = Lock()
        self.buffers = Buffers()
        self._reels: WeakKeyDictionary[nn.Module, Reel] = WeakKeyDictionary()
        self._captures: dict[torch.device, Capture | None] = {}
        self._capture_for = (lambda device: CompiledRows(capture_for(device), compiler)) if compile else capture_for

    def capture(self, device: torch.device) -> Capture | None:
        """How calls are recorded on this device; None where they are not."""
        if device not in self._captures:
            self._captures[device] = self._capture_for(device)
        return self._captures[device]

    def records(self, net: nn.Module) -> bool:
        """Whether calls can be recorded where the network's weights lie."""
        return self.capture(next(net.parameters()).device) is not None

    def reel(self, net: nn.Module) -> tuple[Reel, bool]:
        """The network's rows, and whether earlier ones were let go because the network has changed."""
        known = self._reels.get(net)
        if known is not None and known.still:
            return known, False
        made = self._reels[net] = Reel(net)
        return made, known is not None and any(True for _ in known.each())

    @property
    def count(self) -> int:
        return sum(1 for reel in self._reels.values() for _ in reel.each())

    @property
    def size_bytes(self) -> int:
        """The memory that recordings take beside the networks: their pool of memory, and the buffers they read."""
        recorded = sum(recording.captured.size_bytes for reel in self._reels.values() for recording in reel.each())
        return recorded + self.buffers.size_bytes

    def clear(self) -> None:
        """Lets go of everything that was recorded, but not of what was learnt when a row was met first."""
        for reel in self._reels.values():
            for row in reel.rows.values():
                row.recordings.clear()
        self.buffers = Buffers()
        self._captures.clear()  # and with them the pool
