"""What came of hostile inputs: how many were taken and refused, and every fault."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

KINDS = ("file", "endpoint", "tool", "command")


@dataclass(frozen=True)
class Fault:
    """An input that something gave way to, and how."""

    kind: str
    target: str
    given: str
    what: str

    @property
    def text(self) -> str:
        return f"{self.kind} {self.target}: {self.what}\n    given {self.given}"


@dataclass
class Report:
    """The outcome of all inputs, by kind: taken or refused. Memory is the server's, before and after."""

    seed: int
    taken: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    memory_bytes: tuple[int, int] = (0, 0)
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        return sum(self.taken.values()) + sum(self.refused.values()) + len(self.faults)

    def text(self) -> str:
        """The figures in a few lines, and every fault."""
        kinds = ", ".join(f"{kind}s {self.taken[kind]} taken {self.refused[kind]} refused" for kind in KINDS)
        before, after = (size / 2**20 for size in self.memory_bytes)
        lines = [
            f"{self.inputs:,} hostile inputs of seed {self.seed} in {self.seconds:.0f} s: {len(self.faults)} faults",
            f"{kinds}",
            f"memory of the server {before:.0f} MB before, {after:.0f} MB after",
        ]
        return "\n".join([*lines, *(fault.text for fault in self.faults)])

    @property
    def line(self) -> str:
        """How far it is, on one line."""
        now_mb = self.memory_bytes[1] / 2**20
        return f"{self.inputs:,} in {self.seconds:.0f} s: {len(self.faults)} faults, the server has {now_mb:.0f} MB"
