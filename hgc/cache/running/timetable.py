"""A scheduler's timesteps beside the GPU, so that reading one does not wait for it.

Schedulers look their constants up by the timestep, in tables on the CPU. Where the timestep lies on an accelerator,
each look-up reads it back, and the host waits until the device has done all that came before: in a step of DDIM more
than once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch

SET = "set_timesteps"
STATE = "__getstate__"  # what `copy` and `pickle` ask an object for


class Timetable:
    """The timesteps of one run: a scheduler's own stay on the CPU, networks take theirs from a copy on the device."""

    def __init__(self) -> None:
        self._on_device: dict[float, torch.Tensor] = {}

    @contextmanager
    def kept(self, scheduler: Any) -> Iterator[None]:
        """While the block runs, timesteps that the scheduler is to set on an accelerator are set on the CPU.

        Blocks may end in any order: with the last one the scheduler is what it was. A copy made meanwhile is a plain
        one.
        """
        with _lock:
            users = _users.setdefault(scheduler, [])
            users.append(self)
            if len(users) == 1:
                _install(scheduler, users)
        try:
            yield
        finally:
            with _lock:
                users.remove(self)
                if not users:
                    _remove(scheduler)

    def beside(self, sample: torch.Tensor, timestep: Any) -> Any:
        """The timestep, on the sample's device where it is one of the scheduler's."""
        if sample.device.type == "cpu" or not isinstance(timestep, torch.Tensor) or timestep.device.type != "cpu":
            return timestep
        return self._on_device.get(float(timestep), timestep) if timestep.ndim == 0 else timestep


_users: WeakKeyDictionary[Any, list[Timetable]] = WeakKeyDictionary()
_before: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()  # what stood in place of ours
_lock = Lock()


def _install(scheduler: Any, users: list[Timetable]) -> None:
    attributes = vars(scheduler)
    _before[scheduler] = {name: attributes[name] for name in (SET, STATE) if name in attributes}
    attributes[SET] = _on_cpu(scheduler, users)
    attributes[STATE] = lambda: _plain_state(scheduler)


def _remove(scheduler: Any) -> None:
    attributes = vars(scheduler)
    for name in (SET, STATE):
        attributes.pop(name, None)
    attributes |= _before.pop(scheduler)


def _plain_state(scheduler: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(scheduler).items() if name not in (SET, STATE)} | _before[scheduler]


def _on_cpu(scheduler: Any, users: list[Timetable]) -> Callable[..., None]:
    """Its `set_timesteps`, which looks the same to a pipeline that asks what it takes."""
    original = getattr(scheduler, SET)

    @wraps(original)
    def set_timesteps(*args: Any, **kwargs: Any) -> None:
        call = signature(original).bind(*args, **kwargs)
        device = call.arguments.get("device")
        if device is None or torch.device(device).type == "cpu":
            return original(*args, **kwargs)
        call.arguments["device"] = "cpu"
        original(*call.args, **call.kwargs)
        timesteps = scheduler.timesteps
        table = dict(zip(timesteps.tolist(), timesteps.to(device), strict=True))
        for user in users:
            user._on_device = table

    return set_timesteps
