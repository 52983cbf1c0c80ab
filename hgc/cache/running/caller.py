"""Who calls a network, with what, whether the call belongs to the run, and what that pipeline's loop is going to do.

It is read off the stack: a pipeline holds its timetable and the windows of its ControlNets in variables of its own
call, nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from types import FrameType
from typing import Any
from warnings import warn

import torch
from diffusers import DiffusionPipeline
from torch import nn

from hgc.cache.anatomy.networks import Networks, unwrapped


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


def guided_half(value: Any, rows: int) -> Any:
    """The second half of every tensor that has `rows` samples, in whatever containers it comes."""
    if isinstance(value, torch.Tensor):
        return value[rows // 2 :] if value.ndim and value.shape[0] == rows else value
    if isinstance(value, list | tuple):
        return type(value)(guided_half(item, rows) for item in value)
    if isinstance(value, dict):
        return {key: guided_half(item, rows) for key, item in value.items()}
    return value


class NotCached(UserWarning):
    """A call that somebody may think is cached, and is not."""


class Belonging:
    """A run belongs to the pipeline it was given, in the thread that opened its block."""

    def __init__(self, pipe: Any, networks: Networks) -> None:
        self._pipe, self._networks = pipe, networks
        self._called = False  # refused at once, a call has not run but has been told of
        self._elsewhere = ""  # what ran beside this run though it may have been meant for it

    def claims(self, by: Caller) -> bool:
        """Whether a call is this run's; a loop without a pipeline is, too. Another pipeline's is remembered."""
        if by.pipe is None or by.pipe is self._pipe:
            self._called = True
            return True
        if not self._called:
            self._elsewhere = (
                f"inside the `cached` block of a {type(self._pipe).__name__} another pipeline over the same networks "
                f"was called, a {type(by.pipe).__name__}: that call was not cached; give `cached` the pipeline that "
                "you call"
            )
        return False

    def unmet(self, done: int, steps: int) -> str | None:
        """Why nothing was cached, or only `done` of the plan's steps, in words for a person; None where all was."""
        if unwrapped(self._pipe.components["unet"]) is not self._networks.unet:
            return (
                f"the pipeline's UNet was replaced inside the `cached` block: {done} of {steps} steps ran on "
                "the one that the block was entered with, the rest is not cached; enter `cached` again after that"
            )
        if self._called:
            return None
        return self._elsewhere or "the pipeline was not called inside the `with cached(...)` block: nothing was cached"

    def outside(self) -> dict[nn.Module, Callable[[], None]]:
        """Who is told of a network's calls from other threads."""
        return {self._networks.called(self._networks.unet): self._called_outside}

    def _called_outside(self) -> None:
        """The same pipeline called from where this block does not reach is said at once: the call may take minutes."""
        if self._elsewhere or caller().pipe is not self._pipe:
            return
        self._elsewhere = (
            "the pipeline of an open `cached` block was called from another thread, which the block does not reach: "
            "that call is not cached; enter `cached` in the thread that makes the call"
        )
        warn(self._elsewhere, NotCached, stacklevel=2)
