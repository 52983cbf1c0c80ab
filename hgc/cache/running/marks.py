"""Marks of values: one equals another as long as nobody replaced the value or wrote into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hgc.cache.anatomy.layers import Place
from hgc.cache.running.patching import COMPILED, STATE

# What every module has, and what is left on one while it is patched: nothing that decides what it computes.
_USUAL = frozenset({*vars(nn.Module()), "forward", COMPILED, STATE})


class Seen:
    """A tensor as it was: equal to another view of the same memory as long as nobody wrote into it."""

    def __init__(self, value: torch.Tensor) -> None:
        self._value, self._at, self._version = value, _lies(value), None
        # Held, so that nothing else can come to lie there.
        self._storage = value.untyped_storage()
        if value.is_inference():
            self._value = value.clone()
        else:
            self._version = value._version

    def holds(self, value: torch.Tensor) -> bool:
        """Whether `value` is this tensor, or its last samples, and says the same."""
        rows = len(value)
        if value.shape[1:] != self._value.shape[1:] or rows > len(self._value) or value.is_inference() != self.silent:
            return False
        if self.silent:
            return value.dtype == self._value.dtype and torch.equal(value, self._value[len(self._value) - rows :])
        behind = (len(self._value) - rows) * self._value.stride(0)
        (storage, offset, _, stride), (own, start, _, steps) = _lies(value), self._at
        return (storage, offset, stride, value._version) == (own, start + behind, steps, self._version)

    @property
    def silent(self) -> bool:
        """Whether it does not tell when it is written to."""
        return self._version is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Seen) or self.silent != other.silent:
            return False
        if self.silent:
            same = self._value.shape == other._value.shape and self._value.dtype == other._value.dtype
            return same and torch.equal(self._value, other._value)
        return self._at == other._at and self._version == other._version

    __hash__ = None  # type: ignore[assignment]


def _lies(value: torch.Tensor) -> tuple[Any, ...]:
    return value.untyped_storage()._cdata, value.storage_offset(), value.shape, value.stride()


def placed(place: Place) -> Any:
    """A module's mark; nothing equals that of one which was taken out of its place, into a wrapper or away."""
    owner, key, module = place
    return _module(module) if owner._modules.get(key) is module else object()


def _module(module: nn.Module) -> Any:
    """All that decides what a module computes: its class, its tensors, its children, and plain data of its own."""
    kind = type(module)
    held = [tensor for tensors in (module._parameters, module._buffers) for tensor in tensors.values()]
    own = None
    if not kind.__module__.startswith("torch.nn."):
        own = [(name, mark(value)) for name, value in vars(module).items() if name not in _USUAL]
    children = [(name, None if child is None else _module(child)) for name, child in module._modules.items()]
    return kind, [None if tensor is None else _weight(tensor) for tensor in held], own, children


def _weight(tensor: torch.Tensor) -> Any:
    return object() if tensor.is_inference() else Seen(tensor)


def mark(value: Any) -> Any:
    """Equal for equal data and for tensors that nobody replaced or wrote into."""
    if isinstance(value, torch.Tensor):
        return Seen(value)
    if isinstance(value, Mapping):
        return [(key, mark(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [mark(item) for item in value]
    return value if isinstance(value, bool | int | float | str | set | frozenset | None) else id(value)
