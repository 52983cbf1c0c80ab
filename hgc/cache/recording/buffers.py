"""Tensors that stay where they are, for recordings to read from."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from weakref import ref

import torch

from hgc.cache.recording.inputs import Layout, layout_of, writes


@dataclass
class Buffer:
    """A tensor in the layout of what is loaded into it; a dimension that only repeats is kept once."""

    tensor: torch.Tensor
    dense: torch.Tensor
    _loaded: ref[torch.Tensor] | None = None
    _written: int = 0

    @classmethod
    def like(cls, given: torch.Tensor) -> Buffer:
        once = _once(given)
        dense = torch.empty_strided(once.shape, once.stride(), dtype=given.dtype, device=given.device)
        return cls(dense.expand(given.shape), dense)

    def holds(self, given: torch.Tensor) -> bool:
        """Whether this very tensor was loaded last and not written to since; inference tensors do not say."""
        same = self._loaded is not None and self._loaded() is given
        return same and not given.is_inference() and self._written == writes(given)

    def note(self, given: torch.Tensor) -> None:
        self._loaded, self._written = ref(given), writes(given)

    @property
    def size_bytes(self) -> int:
        return self.dense.untyped_storage().nbytes()


class Buffers:
    """Buffers by name and layout, shared by all recordings that read the same."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[Hashable, Layout], Buffer] = {}

    def at(self, name: Hashable, given: torch.Tensor) -> Buffer:
        """The buffer for a tensor of this layout, made when there is none."""
        key = name, layout_of(given)
        if key not in self._buffers:
            self._buffers[key] = Buffer.like(given)
        return self._buffers[key]

    @property
    def size_bytes(self) -> int:
        return sum(buffer.size_bytes for buffer in self._buffers.values())


def load(pairs: Iterable[tuple[Buffer, torch.Tensor]]) -> None:
    """Copies tensors into their buffers, all in one launch where the device knows how."""
    stale = [(buffer, given) for buffer, given in pairs if not buffer.holds(given)]
    if stale:
        torch._foreach_copy_([buffer.dense for buffer, _ in stale], [_once(given) for _, given in stale])
    for buffer, given in stale:
        buffer.note(given)


def _once(tensor: torch.Tensor) -> torch.Tensor:
    """Without the repetitions of an expanded tensor: dimensions without a stride have length 1."""
    if 0 not in tensor.stride():
        return tensor
    shape = [1 if stride == 0 else length for length, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    return tensor.as_strided(shape, tensor.stride())
