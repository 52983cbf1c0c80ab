"""The interface of a recording: capture a function of tensors that stay where they are, replay it.

Between two replays nothing that was made while recording holds its value, but for what the function returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from hgc.cache.recording.buffers import tensors_of, with_tensors

Compiled = Callable[[], list[torch.Tensor]]
Compiler = Callable[[GraphModule], Compiled]


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


def inductor(graph: GraphModule) -> Compiled:
    """The graph in code of its own, which reads weights and buffers where they lie. Numbers differ by rounding."""
    return torch._inductor.compile(graph, [])


class CompiledRows:
    """Records what a function computes as one graph and compiles that.

    On a device that knows graphs of its own, `inner` captures the compiled code; elsewhere the code itself is run.
    """

    def __init__(self, inner: Capture | None, compiler: Compiler = inductor) -> None:
        self._inner, self._compiler = inner, compiler

    def __call__(self, function: Callable[[], Any]) -> Captured:
        """As a Capture's. Raises RuntimeError where there is no compiler, or one that fails."""
        returned: Any = None

        def flat() -> list[torch.Tensor]:
            nonlocal returned
            returned = function()
            return list(tensors_of(returned))

        graph = make_fx(flat)()
        try:
            compiled = self._compiler(graph)
            out = [tensor.clone() for tensor in compiled()]  # which also lets it choose its kernels, before a capture
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of whatever a compiler fails with, the row is run eagerly
            raise RuntimeError(f"the compiler failed with {type(error).__name__}: {error}") from error
        if self._inner is not None:
            captured = self._inner(compiled)
            return Captured(_filled(returned, captured.out), captured.replay, captured.size_bytes)

        def replay() -> None:
            torch._foreach_copy_(out, compiled())

        return Captured(_filled(returned, out), replay, sum(tensor.nbytes for tensor in out))


def _filled(shape: Any, tensors: list[torch.Tensor]) -> Any:
    """The containers of one value with the tensors of another."""
    left = iter(tensors)
    return with_tensors(shape, lambda _: next(left))


def capture_for(device: torch.device) -> Capture | None:
    """How calls are recorded on a device; None where that is not possible."""
    return CudaGraphs(device) if device.type == "cuda" else None
