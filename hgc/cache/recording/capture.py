"""The interface of a recording: capture a function of tensors that stay where they are, replay it.

Between two replays nothing that was made while recording holds its value, but for what the function returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True)
class Captured:
    """A recorded function. `out` holds what it returned, anew after each `replay`; `size_bytes` is what it takes."""

    out: Any
    replay: Callable[[], None]
    size_bytes: int


class Capture(Protocol):
    """Records functions of tensors that stay where they are. All that one capture recorded may share its memory."""

    def __call__(self, function: Callable[[], Any]) -> Captured:
        """Runs the function once, which computes nothing yet that may be read: `replay` does.

        Whatever the function raises comes through; torch.OutOfMemoryError where memory does not suffice.
        """


class CudaGraphs:
    """Recordings as CUDA graphs in one pool of memory (PyTorch, 'CUDA semantics', section on CUDA graphs)."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)

    def __call__(self, function: Callable[[], Any]) -> Captured:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            before = torch.cuda.memory_reserved()
            # Other threads go on meanwhile: a page shows previews, another run may allocate.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                out = function()
            return Captured(out, graph.replay, max(0, torch.cuda.memory_reserved() - before))


def capture_for(device: torch.device) -> Capture | None:
    """How calls are recorded on a device; None where that is not possible."""
    return CudaGraphs(device) if device.type == "cuda" else None
