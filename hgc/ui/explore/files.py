"""A sweep's table as files to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradio.processing_utils import save_bytes_to_cache

from hgc.sweep.table import as_csv, as_parquet, records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgc.sweep import Sweep
    from hgc.sweep.run import Outcome
    from hgc.ui.explore.tab import Explore


def as_files(tab: Explore, sweep: Sweep, outcomes: Iterable[Outcome]) -> dict[Any, Any]:
    """The updates that give both buttons their file; gradio deletes the files in time."""
    rows = list(records(sweep, outcomes).values())
    return {
        tab.csv: save_bytes_to_cache(as_csv(rows).encode(), "sweep.csv", tab.csv.GRADIO_CACHE),
        tab.parquet: save_bytes_to_cache(as_parquet(rows), "sweep.parquet", tab.parquet.GRADIO_CACHE),
    }
