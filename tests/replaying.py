"""Recordings on a CPU, as strict as a graph on a GPU: the operations that were run, run again on the same tensors.

Nothing of Python is run again, and whatever lies in the recordings' own memory is spoiled before every replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hgc.cache.recording.buffers import tensors_of
from hgc.cache.recording.capture import Captured
from hgc.cache.recording.rows import LIMIT_BYTES, Recordings


class Tape(TorchDispatchMode):
    """The operations run inside the `with` block: what was called, with which tensors, and what came out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[torch.Tensor]]] = []
        self.made: list[torch.Tensor] = []  # in memory of their own, not of something that was there before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        results = list(tensors_of(out))
        before = {tensor.untyped_storage().data_ptr() for tensor in tensors_of([*args, *kwargs.values()])}
        fresh = [t for t in results if t.numel() and t.untyped_storage().data_ptr() not in before]
        self.made += fresh
        self.operations.append((func, args, kwargs, results if fresh else []))
        return out

    def replay(self) -> None:
        for func, args, kwargs, results in self.operations:
            for known, now in zip(results, list(tensors_of(func(*args, **kwargs))) if results else (), strict=True):
                known.copy_(now)
            if not results and func._schema.is_mutable:
                func(*args, **kwargs)


class Taping:
    """A capture whose recordings share their memory: each replay spoils what the one before made and did not return."""

    def __init__(self) -> None:
        self._fresh: list[torch.Tensor] = []  # made by replays, and not returned by them
        self.fails: Exception | None = None

    def __call__(self, function: Callable[[], Any]) -> Captured:
        if self.fails is not None:
            raise self.fails
        with Tape() as tape:
            out = function()
        own = list(tensors_of(out))
        returned = {tensor.untyped_storage().data_ptr() for tensor in own}
        inner = [tensor for tensor in tape.made if tensor.untyped_storage().data_ptr() not in returned]
        spoil(tape.made)

        def replay() -> None:
            spoil(self._fresh)
            spoil(own)
            tape.replay()
            self._fresh = inner

        return Captured(out, replay, sum(t.numel() * t.element_size() for t in own))


@torch.inference_mode()  # which may write into what was made in it
def spoil(tensors: Iterable[torch.Tensor]) -> None:
    for tensor in tensors:
        tensor.fill_(torch.nan if tensor.is_floating_point() else 77)


def taped(limit_bytes: int = LIMIT_BYTES) -> tuple[Recordings, Taping]:
    """Recordings that work on a CPU, and what to look at of them."""
    taping = Taping()
    return Recordings(limit_bytes, lambda _device: taping), taping
