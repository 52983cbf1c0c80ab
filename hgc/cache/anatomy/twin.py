"""A network's structure without its numbers, to count on: what is loaded into it comes along, hooks do not.

A forward of the twin leaves nothing behind on the network: what processors and patches keep is copied with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from copy import copy
from enum import Enum
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

from hgc.cache.running.patching import COMPILED, STATE

# Instance attributes that accelerate, torch.compile, other wrappers and our own patches leave on a module.
WRAPPING = ("forward", "_old_forward", "_hf_hook", COMPILED, STATE)
# What a loaded adapter keeps beside its weights and lets decide what it computes (PEFT's layers, IP-Adapter's scale).
SWITCHES = ("_active_adapter", "_disable_adapters", "merged_adapters", "scale")
_USUAL = frozenset(vars(nn.Module()))
_PARTS = ("_parameters", "_buffers", "_modules")
# Never copied with what refers to them.
SHARED = (type, FunctionType, MethodType, partial, Mapping, Enum, nn.Module, DiffusionPipeline)


def twin(module: Any) -> Any:
    """A copy on the meta device, float32, of a network as it is now: LoRA and IP-Adapter layers included.

    A network with layers of a class made at run time was patched (token merging does so); what runs before its layers,
    as patches want, comes along.
    """
    made: dict[nn.Module, nn.Module] = {part: object.__new__(type(part)) for part in module.modules()}
    memory: dict[int, Any] = {id(part): copied for part, copied in made.items()}
    patched = any(is_patched(part) for part in made)
    for part, copied in made.items():
        _fill(part, copied, memory, patched)
    return made[module]


def structure(module: nn.Module) -> Hashable:
    """Equal for networks that compute the same operations on the same shapes."""
    parts: list[Hashable] = []
    for part in module.modules():
        state = vars(part)
        shapes = tuple(None if weight is None else tuple(weight.shape) for weight in part._parameters.values())
        switches = tuple(repr(state[key]) for key in SWITCHES if key in state)
        own = repr({key: value for key, value in state.items() if key not in _USUAL}) if is_patched(part) else ""
        parts.append((type(part), type(state.get("processor")), shapes, switches, own))
    return tuple(parts)


def is_patched(module: nn.Module) -> bool:
    """Whether somebody gave a module a class of his own, made at run time."""
    return "<locals>" in type(module).__qualname__


def _fill(part: nn.Module, copied: nn.Module, memory: dict[int, Any], patched: bool) -> None:
    """Gives a module's twin what the module has."""
    for key, value in vars(part).items():
        if key in WRAPPING:
            continue
        if "_hooks" in key:
            before = patched and key.startswith("_forward_pre_hooks")
            vars(copied)[key] = OrderedDict(
                (mark, hook) for mark, hook in value.items() if before and not _counts(hook)
            )
        elif key in _PARTS:
            vars(copied)[key] = {name: _twin_of(item, memory) for name, item in value.items()}
        else:
            vars(copied)[key] = _twin_of(value, memory, objects=key == "processor" or is_patched(part))


def _counts(hook: Any) -> bool:
    """Whether a hook is one of our own counters'."""
    return str(getattr(hook, "__module__", "")).startswith("hgc.")


def _twin_of(value: Any, memory: dict[int, Any], *, objects: bool = False) -> Any:
    """A tensor without its numbers, a copy of plain data and, where asked for, of `objects` that hold some.

    The rest is shared.
    """
    if id(value) in memory:
        return memory[id(value)]
    made = value
    if isinstance(value, torch.Tensor):
        made = _empty(value)
    elif isinstance(value, torch.Generator):
        made = value.clone_state()
    elif type(value) in (list, tuple, set):
        made = type(value)(_twin_of(item, memory, objects=objects) for item in value)
    elif type(value) is dict:
        made = {key: _twin_of(item, memory, objects=objects) for key, item in value.items()}
    elif objects and hasattr(value, "__dict__") and not isinstance(value, SHARED):
        made = memory[id(value)] = copy(value)
        for key, item in vars(value).items():
            vars(made)[key] = _twin_of(item, memory, objects=True)
    memory[id(value)] = made
    return made


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    empty = torch.empty(tensor.shape, dtype=dtype, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
