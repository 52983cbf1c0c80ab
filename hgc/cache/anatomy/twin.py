"""A network's structure without its numbers, to count on: what is loaded into it comes along, hooks do not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from torch import nn

from hgc.cache.running.patching import COMPILED

# Instance attributes that accelerate, torch.compile, other wrappers and our own patches leave on a module.
WRAPPING = ("forward", "_old_forward", "_hf_hook", COMPILED)
# What a loaded adapter keeps beside its weights and lets decide what it computes (PEFT's layers, IP-Adapter's scale).
SWITCHES = ("_active_adapter", "_disable_adapters", "merged_adapters", "scale")


def twin(module: Any) -> Any:
    """A copy on the meta device, float32, of a network as it is now: LoRA and IP-Adapter layers included."""
    return _copy(module, {})


def structure(module: nn.Module) -> Hashable:
    """Equal for networks that compute the same operations on the same shapes."""
    switches = [repr(state[key]) for state in map(vars, module.modules()) for key in SWITCHES if key in state]
    return tuple(tuple(parameter.shape) for parameter in module.parameters()), tuple(switches)


def _copy(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in made:
        return made[module]
    copy = made[module] = type(module).__new__(type(module))
    state = {key: value for key, value in vars(module).items() if key not in WRAPPING}
    hooks: dict[str, Any] = {key: OrderedDict() for key in state if key.endswith("_hooks")}
    tensors = {key: {name: _empty(value) for name, value in state[key].items()} for key in ("_parameters", "_buffers")}
    modules = {name: None if child is None else _copy(child, made) for name, child in module._modules.items()}
    vars(copy).update(state | hooks | tensors | {"_modules": modules})
    return copy


def _empty(tensor: torch.Tensor | None) -> torch.Tensor | None:
    if tensor is None:
        return None
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    empty = torch.empty(tensor.shape, dtype=dtype, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
