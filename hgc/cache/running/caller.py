"""Who calls a network, with what, and what that pipeline's loop is going to do.

It is read off the stack: a pipeline holds its timetable and the windows of its ControlNets in variables of its own
call, nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from types import FrameType
from typing import Any

from diffusers import DiffusionPipeline


@dataclass(frozen=True)
class Caller:
    """The pipeline nearest on the stack, and its call's variables; without one, the call is somebody's own loop."""

    pipe: Any
    variables: dict[str, Any]

    def steps(self, pipe: Any) -> int:
        """How many steps the loop takes; in a loop of one's own what `pipe` was last told."""
        timetable = self.variables.get("timesteps")
        if timetable is not None:
            return len(timetable)
        count = getattr(pipe, "num_timesteps", None)
        return len(pipe.scheduler.timesteps) if count is None else int(count)

    def control_off(self, names: Sequence[str]) -> tuple[frozenset[str], ...] | None:
        """The ControlNets that each step leaves out, by window or by a strength of 0; None where nobody says."""
        keep, scale = (self.variables.get(name) for name in ("controlnet_keep", "controlnet_conditioning_scale"))
        if not keep or scale is None:
            return None
        if len(names) == 1 and isinstance(keep[0], list) and len(keep[0]) > 1:
            return tuple(frozenset() for _ in keep)  # a Union of several maps weighs these, and always runs
        return tuple(
            frozenset(name for name, on in zip(names, _each(step, scale, len(names)), strict=True) if not on)
            for step in keep
        )

    def conditions(self, names: Sequence[str]) -> Mapping[str, int]:
        """How many control maps a Union network is given in a call; of several networks each has one."""
        modes = self.variables.get("control_mode")
        return {names[0]: len(modes)} if isinstance(modes, list) and len(names) == 1 else {}


def caller() -> Caller:
    """Who calls the network that is being called."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_argcount and code.co_varnames[0] == "self":
            variables = frame.f_locals
            if isinstance(variables.get("self"), DiffusionPipeline):
                return Caller(variables["self"], variables)
        frame = frame.f_back
    return Caller(None, {})


def _each(step: Any, scale: Any, nets: int) -> list[float]:
    """The factors a step multiplies every ControlNet's residuals with."""
    values, scales = (value if isinstance(value, list | tuple) else [value] * nets for value in (step, scale))
    return [float(on) * float(strength) for on, strength in zip(values, scales, strict=True)]


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
