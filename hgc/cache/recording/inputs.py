"""A network's call taken apart: tensors, which are copied to where a recording reads them, and everything else."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

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
    """What torch was told for this thread and process that decides which kernels run."""
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
