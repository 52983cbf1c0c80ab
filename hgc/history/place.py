"""Where runs are kept: in the working folder, on a Space for the visit, or nowhere."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hgc.history.store import History

VARIABLE = "HGC_HISTORY"
OFF = "off"
DEFAULT = Path("runs") / "history.sqlite"
# Hugging Face sets it on every Space.
ON_SPACE = "SPACE_ID"


@dataclass(frozen=True)
class HistoryPlace:
    """`history` is None where nothing is kept. `visits`: every visitor sees only what was made in the same visit."""

    history: History | None
    visits: bool = False

    def owner(self, visit: str | None) -> str:
        """Whose runs a visitor sees."""
        return (visit or "nobody") if self.visits else ""

    @property
    def words(self) -> str:
        """Where runs go and how long they stay, for a person."""
        if self.history is None:
            return f"Nothing is kept: the history is switched off ({VARIABLE}={OFF} or --no-history)."
        limit = f"{self.history.limit_bytes / 2**20:.0f} MB"
        if self.visits:
            return (
                "On this Space your runs are kept for this visit only, out of others' sight, in a temporary "
                f"folder that is emptied when the Space restarts. All visitors share {limit}; the oldest runs "
                "without a tag go first. Download or export what you want to keep."
            )
        return (
            f"Every run is kept in {self.history.path}, up to {limit}; then the oldest without a tag go first. "
            f"To keep nothing, start with --no-history or set {VARIABLE}={OFF}."
        )


NOWHERE = HistoryPlace(None)


def place_of(environment: Mapping[str, str], switched_off: bool = False) -> HistoryPlace:
    """Where this process keeps its runs: as `HGC_HISTORY` says, else under a temporary folder on a Space, else here."""
    wish = environment.get(VARIABLE, "")
    if switched_off or wish.casefold() == OFF:
        return NOWHERE
    on_space = bool(environment.get(ON_SPACE))
    if wish:
        return HistoryPlace(History(Path(wish)), visits=on_space)
    if on_space:
        return HistoryPlace(History(Path(tempfile.mkdtemp(prefix="hgc-")) / DEFAULT.name), visits=True)
    return HistoryPlace(History(DEFAULT))
