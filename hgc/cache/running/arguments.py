"""The arguments of a network's call: all of them by name, and the guided half of them."""

from __future__ import annotations

from functools import cache
from inspect import Parameter, signature
from typing import Any

import torch


@cache
def _parameters(forward: Any) -> dict[str, Any]:
    """The parameters of a network's forward with their defaults, in order."""
    _, *parameters = signature(forward).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def arguments(net: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Every argument of a network's forward by name, defaults included. Raises TypeError for one that is missing."""
    known = _parameters(net.__class__.forward)
    call = {**known, **dict(zip(known, args, strict=False)), **kwargs}
    if missing := [name for name, value in call.items() if value is Parameter.empty]:
        raise TypeError(f"{type(net).__name__} is called without {', '.join(missing)}")
    return call


def guided_half(value: Any, rows: int) -> Any:
    """The second half of every tensor that has `rows` samples, in whatever containers it comes."""
    if isinstance(value, torch.Tensor):
        return value[rows // 2 :] if value.ndim and value.shape[0] == rows else value
    if isinstance(value, list | tuple):
        return type(value)(guided_half(item, rows) for item in value)
    if isinstance(value, dict):
        return {key: guided_half(item, rows) for key, item in value.items()}
    return value
