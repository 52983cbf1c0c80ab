"""A published implementation of a method against ours: what is compared, and the table of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hgc.bench.setup import BenchRefused
from hgc.cache.anatomy import Macs

PEERS: Mapping[str, str] = {"DeepCache": "0.1.1", "tgate": "1.0.0"}  # packages, and the versions compared with


@dataclass(frozen=True)
class Settings:
    """DeepCache's interval N and branch, T-GATE's gate and self-attention intervals, and rounds that are timed."""

    interval: int = 3
    branch: int = 0
    gate: int = 10
    self_every_before: int = 5
    self_every_after: int = 1
    warm: int = 2
    repeats: int = 3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < (0 if name in ("branch", "warm") else 1):
                raise BenchRefused(f"{name} {value}: choose {0 if name in ('branch', 'warm') else 1} or more")


@dataclass(frozen=True)
class Duel:
    """One method, theirs and ours. `difference` is the largest between both final latents, `largest` their greatest.

    MACs are of the denoiser for one picture, theirs as executed; times are medians of warm calls, taken in turn.
    """

    peer: str
    plan: str
    control: bool
    difference: float
    largest: float
    macs_theirs: Macs
    macs_ours: Macs
    ms_theirs: float
    ms_ours: float

    @property
    def alike(self) -> bool:
        """Equal to the tolerance of float32 sums in another order."""
        return self.difference <= 1e-4 * self.largest


def as_text(duels: list[Duel], measured_on: str) -> str:
    """Both sides by side; MACs in giga, paper convention then full."""
    lines = [
        f"{'plan':<24}{'control':>8}{'largest difference':>20}{'G MACs, theirs':>20}{'ours':>17}"
        f"{'ms, theirs':>12}{'ours':>8}"
    ]
    for duel in duels:
        macs = [f"{m.paper / 1e9:.1f} ({m.full / 1e9:.1f})" for m in (duel.macs_theirs, duel.macs_ours)]
        difference = "none" if not duel.difference else f"{duel.difference:.1e} of {duel.largest:.2g}"
        lines.append(
            f"{duel.plan:<24}{'yes' if duel.control else 'no':>8}{difference:>20}{macs[0]:>20}{macs[1]:>17}"
            f"{duel.ms_theirs:>12.0f}{duel.ms_ours:>8.0f}"
        )
    versions = ", ".join(f"{name} {release}" for name, release in PEERS.items())
    return "\n".join([*lines, f"MACs of one picture, paper (full); {versions}; {measured_on}"])


def as_json(duels: list[Duel]) -> list[dict[str, Any]]:
    return [asdict(duel) | {"alike": duel.alike} for duel in duels]
