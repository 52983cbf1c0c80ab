"""How long something took on a device, without waiting for it while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch

# Where calls return before the work is done.
EVENTS: Mapping[str, Any] = {"cuda": torch.cuda.Event, "xpu": torch.xpu.Event, "mps": torch.mps.event.Event}


class Stopwatch:
    """`start()` gives a mark, `stop(mark)` a span; `latency_ms(span)` may be asked once the run is over."""

    def __init__(self, device: torch.device) -> None:
        self._event = EVENTS.get(device.type)

    def start(self) -> Any:
        return perf_counter() if self._event is None else self._mark(self._event)

    def stop(self, mark: Any) -> Any:
        return (perf_counter() - mark) * 1e3 if self._event is None else (mark, self._mark(self._event))

    def latency_ms(self, span: Any) -> float:
        if self._event is None:
            return float(span)
        begin, end = span
        end.synchronize()
        return float(begin.elapsed_time(end))

    @staticmethod
    def _mark(kind: Any) -> Any:
        event = kind(enable_timing=True)
        event.record()
        return event
