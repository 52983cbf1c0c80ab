"""What a request costs before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from hgc.cache.anatomy import Macs
from hgc.cache.plan import Plan


@dataclass(frozen=True)
class Forecast:
    """The cost of a request before it runs, per image; times are None until this process has measured a run.

    `share` and `share_rival` are the plans' parts of full compute in the paper's convention. `rival` is the plan at
    that cost, which holds as long as nothing is decided while running; None without a rival.
    """

    macs: Macs
    macs_full: Macs
    share: float
    latency_ms: float | None
    latency_ms_full: float | None
    plan: Plan
    share_rival: float | None = None
    rival: Plan | None = None
