"""The result of a run as plain JSON: the same from the page's endpoints, an MCP tool and the shell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison


def result_of(comparison: Comparison, notes: Iterable[str] = (), with_trace: bool = False) -> dict[str, Any]:
    """Every figure, what should be known about the run, and the request that makes it again; the trace where wanted."""
    result = comparison.figures() | {
        "notes": [*notes, *comparison.notes],
        "request": comparison.request.model_dump(mode="json"),
    }
    return result | {"trace": comparison.cached.trace.as_dict()} if with_trace else result
