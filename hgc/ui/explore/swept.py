"""A sweep and what came of it so far: in a sentence, and as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradio.processing_utils import save_bytes_to_cache

from hgc.sweep import Sweep
from hgc.sweep.table import as_csv, as_parquet, records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgc.request import Request
    from hgc.sweep.run import Outcome
    from hgc.ui.explore.tab import Explore


@dataclass
class Swept:
    """A sweep and what came of it so far, by the runs' keys; stopped when no more will come."""

    sweep: Sweep[Request]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    stopped: bool = False

    @property
    def summary(self) -> str:
        """How many runs were drawn and how many cannot be."""
        there = sum(out.comparison is not None for out in self.outcomes.values())
        refused = len(self.outcomes) - there
        words = f"{there} of {len(self.sweep.cells)} runs drawn" + (f", {refused} cannot be" if refused else "")
        return f"Stopped: {words}; the pictures stay." if self.stopped else f"{words}. Click a picture to open its run."


def as_files(tab: Explore, sweep: Sweep, outcomes: Iterable[Outcome]) -> dict[Any, Any]:
    """The updates that give both buttons their file; gradio deletes the files in time."""
    rows = list(records(sweep, outcomes).values())
    return {
        tab.csv: save_bytes_to_cache(as_csv(rows).encode(), "sweep.csv", tab.csv.GRADIO_CACHE),
        tab.parquet: save_bytes_to_cache(as_parquet(rows), "sweep.parquet", tab.parquet.GRADIO_CACHE),
    }
