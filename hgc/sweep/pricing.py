"""What a sweep costs before it runs: every run but for what one before it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hgc.cache.plan import PlanRefused
from hgc.request import Recipe, RequestRefused
from hgc.studio.arm_cache import ArmCache
from hgc.sweep.grid import SweepCell

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


@dataclass(frozen=True)
class Job:
    """A run before it is drawn: the MACs, with attention, of the arms that no run before it draws; or its refusal.

    `latency_ms` is what they will take, None until this process has measured a run.
    """

    macs: int = 0
    latency_ms: float | None = 0.0
    refusal: str = ""


def jobs(studio: Studio, cells: Sequence[SweepCell[Recipe]], drawn: ArmCache | None = None) -> list[Job]:
    """The cost of drawing these runs, in their order; forecasts are kept in `drawn`."""
    pricing = _Pricing(studio, ArmCache() if drawn is None else drawn)
    return [pricing.job(cell) for cell in cells]


class _Pricing:
    """The cost that every run adds to those before it."""

    def __init__(self, studio: Studio, drawn: ArmCache) -> None:
        self._studio, self._drawn = studio, drawn
        self._paid: set[tuple[str, str]] = set()

    def job(self, cell: SweepCell[Recipe]) -> Job:
        request = cell.request
        try:
            forecast = self._drawn.forecast(request, self._studio.forecast)
        except (PlanRefused, RequestRefused) as error:
            return Job(refusal=str(error))
        picture, plan = request.picture_digest, forecast.plan.digest
        arms = {(picture, ""): (forecast.macs_full.full, forecast.latency_ms_full)}
        arms[picture, plan] = kept = (forecast.macs.full, forecast.latency_ms)
        if request.rival:
            arms[picture, f"{request.rival} at {plan}"] = kept
        new = [cost for name, cost in arms.items() if name not in self._paid]
        self._paid |= arms.keys()
        clocks = [clock for _, clock in new if clock is not None]
        return Job(sum(macs for macs, _ in new), sum(clocks) if len(clocks) == len(new) else None)
