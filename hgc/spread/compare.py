"""A request made into pictures, wherever there is a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hgc.request import Request
from hgc.studio.arm_cache import ArmCache

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison
    from hgc.results.forecast import Forecast
    from hgc.spread.desk import Desk


@dataclass(frozen=True)
class Compare:
    """All arms of a request, given as JSON, by the plans of its forecast.

    Runs of one sweep share the arms that the same worker has drawn: a time is compared with that of the same device.
    """

    request: str
    forecast: Forecast
    sweep: str = ""

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[Any]:
        """Progress and, last, the comparison."""
        drawn = desk.shared(("sweep", self.sweep), ArmCache) if self.sweep else None
        request = Request.model_validate_json(self.request)
        yield from desk.studio.compare(request, cancel=stop, drawn=drawn, forecast=self.forecast)


@dataclass(frozen=True)
class Inspect:
    """Every arm of a comparison once more, watched."""

    comparison: Comparison

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[Any]:
        """Looks and, last, the inspection."""
        yield from desk.studio.inspect(self.comparison, cancel=stop)
