"""Timesteps that nobody has to wait for.

Schedulers look their constants up by the timestep, in tables on the CPU. Where the timestep lies on an accelerator,
each look-up reads it back, and the host waits until the device has done all that came before: in a step of DDIM more
than once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch


class Timetable:
    """The timesteps of one run: a scheduler's own stay on the CPU, networks take theirs from a copy on the device."""

    def __init__(self) -> None:
        self._on_device: dict[float, torch.Tensor] = {}

    @contextmanager
    def kept(self, scheduler: Any) -> Iterator[None]:
        """While the block runs, timesteps that the scheduler is to set on an accelerator are set on the CPU."""
        before = vars(scheduler).get("set_timesteps")

        def set_timesteps(own: Any, *args: Any, device: Any = None, **kwargs: Any) -> None:
            away = device is not None and torch.device(device).type != "cpu"
            place = {} if device is None else {"device": "cpu" if away else device}
            (before or MethodType(type(own).set_timesteps, own))(*args, **place, **kwargs)
            if away:
                self._on_device = dict(zip(own.timesteps.tolist(), own.timesteps.to(device), strict=True))

        scheduler.set_timesteps = MethodType(set_timesteps, scheduler)
        try:
            yield
        finally:
            if before is None:
                del scheduler.set_timesteps
            else:
                scheduler.set_timesteps = before

    def beside(self, sample: torch.Tensor, timestep: Any) -> Any:
        """The timestep, on the sample's device where it is one of the scheduler's."""
        if sample.device.type == "cpu" or not isinstance(timestep, torch.Tensor) or timestep.device.type != "cpu":
            return timestep
        return self._on_device.get(float(timestep), timestep) if timestep.ndim == 0 else timestep
