"""A comparison with one of its arms opened up: the full one stands beside it, or alone when it is the one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hgc.cache.trace import Trace
from hgc.planning.methods import arm_titles
from hgc.request import ArmName
from hgc.results.comparison import Arm, Comparison


@dataclass(frozen=True)
class Opened:
    """The arm `name` of a comparison; where that one was not made, the cached arm."""

    comparison: Comparison
    name: ArmName

    @classmethod
    def of(cls, comparison: Comparison, name: str = "cached") -> Opened:
        return cls(comparison, name if name in comparison.arms else "cached")

    @property
    def arm(self) -> Arm:
        return self.comparison.arms[self.name]

    @property
    def trace(self) -> Trace:
        return self.arm.trace

    @property
    def full(self) -> Trace:
        return self.comparison.full.trace

    @property
    def title(self) -> str:
        return self.titles[self.name]

    @property
    def titles(self) -> Mapping[ArmName, str]:
        """Those of all arms that were made."""
        titles = arm_titles(self.comparison.request)
        return {name: titles[name] for name in self.comparison.arms}

    @property
    def side_by_side(self) -> tuple[Arm, ...]:
        """The full arm and the opened one; the full one alone when it is opened."""
        return (self.comparison.full,) if self.name == "full" else (self.comparison.full, self.arm)

    @property
    def traces(self) -> dict[ArmName, Trace]:
        """Of the arms side by side."""
        return {arm.name: arm.trace for arm in self.side_by_side}

    @property
    def share(self) -> float:
        """The arm's part of the full arm's MACs, in the paper's convention."""
        return self.trace.macs.paper / self.full.macs.paper
