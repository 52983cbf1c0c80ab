"""Two guidance branches and one: the unguided one is left out of a network's call, and put back beside its answer."""

from __future__ import annotations

from typing import Any

import torch

from hgc.cache.anatomy import PREDICTION, UNGUIDED, State
from hgc.cache.plan import Plan
from hgc.cache.running.clock import Step
from hgc.cache.running.first_call import Pass
from hgc.cache.running.module_calls import keep


def guided_only(call: dict[str, Any], images: int) -> dict[str, Any]:
    """The arguments of a call of two branches for the guided one."""
    return {name: guided_half(value, 2 * images) for name, value in call.items()}


def guided_half(value: Any, rows: int) -> Any:
    """The second half of every tensor that has `rows` samples, in whatever containers it comes."""
    if isinstance(value, torch.Tensor):
        return value[rows // 2 :] if value.ndim and value.shape[0] == rows else value
    if isinstance(value, list | tuple):
        return type(value)(guided_half(item, rows) for item in value)
    if isinstance(value, dict):
        return {key: guided_half(item, rows) for key, item in value.items()}
    return value


def rejoined(plan: Plan, now: Pass, step: Step, guided: torch.Tensor, executed: bool) -> torch.Tensor:
    """Both branches for the pipeline: the unguided one as computed, or what stands in for it."""
    values, state = now.values, step.states[UNGUIDED]
    if state is State.ABSENT:
        return guided
    if not executed and step.branches == 2:
        now.recorder.kept(UNGUIDED, state, values.age(step, PREDICTION), "inside the kept prediction")
        return guided
    if state is State.COMPUTED:
        unguided, own = guided.chunk(2)
        keep(now, step, UNGUIDED, 0, own - unguided, 1)
        return guided
    if plan.fusion != "difference":
        now.recorder.kept(UNGUIDED, state, 0, "guidance dropped from the gate on")
        return torch.cat([guided, guided])
    return torch.cat([guided - values.stand_in(step, UNGUIDED, 0, 1, guided), guided])
