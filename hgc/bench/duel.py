"""A published implementation of a method against ours: what is compared, and the table of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hgc.bench.setup import BenchRefused
from hgc.bench.table import text_table
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


def _giga(macs: Macs) -> str:
    return f"{macs.paper / 1e9:.1f} ({macs.full / 1e9:.1f})"


def _difference(duel: Duel) -> str:
    return f"{duel.difference:.1e} of {duel.largest:.2g}" if duel.difference else "none"


COLUMNS: tuple[tuple[str, Callable[[Duel], str]], ...] = (
    ("plan", lambda duel: duel.plan),
    ("control", lambda duel: "yes" if duel.control else "no"),
    ("largest difference", _difference),
    ("G MACs, theirs", lambda duel: _giga(duel.macs_theirs)),
    ("ours", lambda duel: _giga(duel.macs_ours)),
    ("ms, theirs", lambda duel: f"{duel.ms_theirs:.0f}"),
    ("ours", lambda duel: f"{duel.ms_ours:.0f}"),
)


def text(duels: Sequence[Duel], measured_on: str) -> str:
    """Both sides by side; MACs in giga, paper convention then full."""
    versions = ", ".join(f"{name} {release}" for name, release in PEERS.items())
    return f"{text_table(duels, COLUMNS)}\nMACs of one picture, paper (full); {versions}; {measured_on}"


def data(duels: Sequence[Duel]) -> list[dict[str, Any]]:
    return [asdict(duel) | {"alike": duel.alike} for duel in duels]
