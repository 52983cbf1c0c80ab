"""Tensors that stay where they are, for recordings to read from, and what of a call goes into them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch

Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype, torch.device]


def layout_of(tensor: torch.Tensor) -> Layout:
    """Shape, strides, dtype, device: what decides which kernels run."""
    return tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device


def writes(tensor: torch.Tensor) -> int:
    """How often a tensor was written to; inference tensors do not say."""
    return 0 if tensor.is_inference() else tensor._version


def with_tensors(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same containers with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(with_tensors(item, change) for item in value)
    if isinstance(value, dict):
        return {key: with_tensors(item, change) for key, item in value.items()}
    return value


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor, in the order in which `with_tensors` meets them."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_of(item)


def signature_of(value: Any) -> Hashable:
    """Equal for calls that one recording serves: layouts of tensors, the values of all else.

    Raises TypeError for an argument that cannot be compared.
    """
    if isinstance(value, torch.Tensor):
        return layout_of(value)
    if isinstance(value, list | tuple):
        return type(value), tuple(signature_of(item) for item in value)
    if isinstance(value, Mapping):
        return tuple((key, signature_of(item)) for key, item in value.items())
    hash(value)
    return type(value), value


def timed_by_tensor(call: Mapping[str, Any]) -> dict[str, Any]:
    """The same call with its timestep as a tensor beside the samples, as the networks make it themselves."""
    time, device = call["timestep"], call["sample"].device
    if not isinstance(time, torch.Tensor):
        time = torch.tensor(time, dtype=torch.float64 if isinstance(time, float) else torch.int64)
    return {**call, "timestep": time.to(device)}


def settings() -> Hashable:
    """The settings of torch, in this thread and process, that decide which kernels run."""
    return (
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cuda"),
        torch.get_autocast_dtype("cuda"),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch.backends.cuda.cudnn_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
    )


@dataclass
class Buffer:
    """A tensor in the layout of what is loaded into it; a dimension that only repeats is kept once."""

    tensor: torch.Tensor
    dense: torch.Tensor
    _loaded: ref[torch.Tensor] | None = None
    _written: int = 0

    @classmethod
    @torch.inference_mode(False)  # calls in that mode and without it share buffers, and both write into them
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
