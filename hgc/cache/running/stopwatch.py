"""Time spans on the host or on a CUDA device, read only when the run is over so that nothing waits in between."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch


class Stopwatch:
    """`start()` gives a mark, `stop(mark)` a span; `latency_ms(span)` may be asked once the run is over."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"

    def start(self) -> Any:
        return self._mark() if self._cuda else perf_counter()

    def stop(self, mark: Any) -> Any:
        return (mark, self._mark()) if self._cuda else (perf_counter() - mark) * 1e3

    def latency_ms(self, span: Any) -> float:
        if not self._cuda:
            return float(span)
        begin, end = span
        end.synchronize()
        return float(begin.elapsed_time(end))

    @staticmethod
    def _mark() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
