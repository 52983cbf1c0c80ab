"""Values kept because they do not depend on the step, and how a change of what they do depend on is noticed.

A tensor is not read for that: where it lies and how often it was written to tell. Those made in inference mode do not
tell: inputs are then compared with a copy, and weights never trusted. Writes through `.data` leave no trace at all; who
makes them between two steps calls `run.forget()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from hgc.cache.anatomy import Kind, Site
from hgc.cache.anatomy.layers import Place, Survey
from hgc.cache.running.patching import COMPILED, STATE

SOURCES = {
    Kind.IMAGE_KV: "added_cond_kwargs",
    Kind.CONDITION: "controlnet_cond",
    Kind.EMBEDDING: "added_cond_kwargs",
}
SCALES = "cross_attention_kwargs"  # the scale of a LoRA among them
# What every module has, and what is left on one while it is patched: nothing that decides what it computes.
_USUAL = frozenset({*vars(nn.Module()), "forward", COMPILED, STATE})


class Constants:
    """The marks of what the constant sites of one run were computed from."""

    def __init__(self, survey: Survey) -> None:
        self._places = survey.places
        self._marks: dict[str, tuple[Any, ...]] = {}
        self._texts: dict[tuple[str, int], tuple[Seen, Any]] = {}
        self._scales: Any = None

    def stale(self, sites: Sequence[Site], call: Mapping[str, Any]) -> dict[str, str]:
        """Why the values of some of a network's sites (in order) no longer hold in this call of it.

        Keys and values of the text are not among them: what an attention's processor hands to their projections shows
        only there, see `text_changed`.
        """
        self._scales = _mark(call.get(SCALES))
        inputs: dict[str, Any] = {}
        reasons: dict[str, str] = {}
        for site in sites:
            if site.kind is Kind.TEXT_KV:
                continue
            source = SOURCES[site.kind]
            if source not in inputs:
                inputs[source] = _mark(call.get(source))
            now = (inputs[source], self._scales, [_placed(place) for place in self._places[site.name]])
            before = self._marks.get(site.name, now)
            self._marks[site.name] = now
            if before != now:
                reasons[site.name] = _reason(source, before, now)
            elif any(name in reasons for name in site.inputs):
                reasons[site.name] = "its input changed"
        return reasons

    def text_changed(self, name: str, part: int, value: torch.Tensor) -> str | None:
        """Why kept keys (part 0) or values (1) do not hold for this input [B, tokens, C]; None where they do.

        Where one branch of two is left, its samples are the last ones.
        """
        if (name, part) not in self._texts:
            return None
        seen, before = self._texts[name, part]
        if not seen.holds(value):
            return "encoder_hidden_states changed"
        now = (None, self._scales, [_placed(self._places[name][part])])
        return None if before == now else _reason("", before, now)

    def saw_text(self, name: str, part: int, value: torch.Tensor) -> None:
        """Notes what keys or values are computed from."""
        self._texts[name, part] = Seen(value), (None, self._scales, [_placed(self._places[name][part])])


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


def _reason(source: str, before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    if before[0] != now[0]:
        return f"{source} changed"
    return f"{SCALES} changed" if before[1] != now[1] else "its weights or adapters changed"


def _placed(place: Place) -> Any:
    """A module's mark; nothing equals that of one which was taken out of its place, into a wrapper or away."""
    owner, key, module = place
    return _module(module) if owner._modules.get(key) is module else object()


def _module(module: nn.Module) -> Any:
    """All that decides what a module computes: its class, its tensors, its children, and plain data of its own."""
    kind = type(module)
    held = [tensor for tensors in (module._parameters, module._buffers) for tensor in tensors.values()]
    own = None
    if not kind.__module__.startswith("torch.nn."):
        own = [(name, _mark(value)) for name, value in vars(module).items() if name not in _USUAL]
    children = [(name, None if child is None else _module(child)) for name, child in module._modules.items()]
    return kind, [None if tensor is None else _weight(tensor) for tensor in held], own, children


def _weight(tensor: torch.Tensor) -> Any:
    return object() if tensor.is_inference() else Seen(tensor)


def _mark(value: Any) -> Any:
    """Equal for equal data and for tensors that nobody replaced or wrote into."""
    if isinstance(value, torch.Tensor):
        return Seen(value)
    if isinstance(value, Mapping):
        return [(key, _mark(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_mark(item) for item in value]
    return value if isinstance(value, bool | int | float | str | set | frozenset | None) else id(value)
