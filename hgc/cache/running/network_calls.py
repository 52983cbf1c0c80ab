"""What UNet and ControlNets do in place of their own forward; between them they open, carry out and end a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetOutput
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import nn

from hgc.cache.anatomy import PREDICTION, State
from hgc.cache.anatomy.networks import is_union, residual_scale, scaled_residuals
from hgc.cache.recording.session import CaptureSession
from hgc.cache.rules import PlanRefused
from hgc.cache.running.branches import guided_only, rejoined
from hgc.cache.running.caller import Caller, arguments
from hgc.cache.running.clock import Step
from hgc.cache.running.first_call import CallInputs, Pass, first_call
from hgc.cache.running.forgetting import Forgetting
from hgc.cache.running.glimpse import glimpse
from hgc.cache.running.module_calls import ModuleCalls, keep
from hgc.cache.running.timetable import Timetable


class NetworkCalls:
    """The calls of one run's networks; those of their modules are `modules`'."""

    def __init__(
        self,
        given: CallInputs,
        modules: ModuleCalls,
        forgetting: Forgetting,
        session: CaptureSession | None,
        timetable: Timetable,
    ) -> None:
        self._given, self._modules, self._forgetting = given, modules, forgetting
        self._session, self._timetable = session, timetable

    def handlers(self) -> dict[nn.Module, Callable[..., Any]]:
        """The functions in place of each network's forward; their first argument is who calls."""
        handlers: dict[Any, Callable[..., Any]] = {self._given.networks.unet: self._unet}
        return handlers | {
            net: partial(self._control, name, net) for name, net in self._given.networks.controls.items()
        }

    def _control(self, name: str, net: Any, by: Caller, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A ControlNet's call; in guess mode it sees the guided samples only."""
        call = self._arguments(net, args, kwargs)
        guidance = self._given.guidance
        lone = bool(call["guess_mode"]) and guidance
        now, step = self._enter(by, call, 1 if lone or not guidance else 2)
        if name in now.entered:
            raise PlanRefused(
                f"plan '{self._given.plan.name}', step {step.number}: '{name}' is called a second time and the UNet "
                "was not; if a callback replaced the pipeline's UNet, enter `cached` again after that"
            )
        now.entered.add(name)
        now.repeats.clear()
        if not residual_scale(net, call):
            step.off.add(name)
        # One recording serves every scale: it is multiplied with afterwards, where that gives the same numbers.
        apart = not (call["guess_mode"] or net.config.global_pool_conditions or is_union(net))
        scale = call["conditioning_scale"] if apart else 1.0
        unscaled = {} if scale == 1.0 else {"conditioning_scale": 1.0}
        self._look(now, step, name, net, original, call | unscaled, lone=lone)
        now.branches = 1 if lone else step.branches
        self._prepare(now, step, name, call)
        if name in step.idle:
            return _kept_residuals(now, step, name, net, call)
        if step.guidance and step.branches == 1 and not lone:
            call = guided_only(call, now.images)
        if self._session is None:
            return original(**call)
        down, middle = self._run(now, step, name, net, original, {**call, "return_dict": False} | unscaled)
        if scale != 1.0:
            torch._foreach_mul_([*down, middle], scale)
        return ControlNetOutput(down, middle) if call["return_dict"] else (down, middle)

    def _unet(self, by: Caller, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The UNet's call, the last of a step."""
        unet, guidance = self._given.networks.unet, self._given.guidance
        call = self._arguments(unet, args, kwargs)
        as_tuple = not call.pop("return_dict")
        _check_inputs(call)
        now, step = self._enter(by, call, 2 if guidance else 1)
        self._look(now, step, "unet", unet, original, call, lone=not guidance)
        now.branches = step.branches
        self._prepare(now, step, "unet", call)
        executed = step.states[PREDICTION] is State.COMPUTED
        if executed:
            if step.guidance and step.branches == 1:
                call = guided_only(call, now.images)
            guided = self._run(now, step, "unet", unet, original, {**call, "return_dict": False})[0]
            if self._session is not None:
                guided = guided.clone()  # a solver may keep it beyond the next replay
            keep(now, step, PREDICTION, 0, guided, step.branches)
        else:
            guided = now.values.stand_in(step, PREDICTION, 0, step.branches, now.like)
        out = rejoined(self._given.plan, now, step, guided, executed)
        now.recorder.end(step, step.branches if executed else 0)
        if self._session is not None:
            self._session.end_step()
        now.step = None
        now.entered.clear()
        return (out,) if as_tuple else UNet2DConditionOutput(sample=out)

    def _arguments(self, net: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        """A network's call by name, its timestep where its sample is."""
        call = arguments(net, args, kwargs)
        return call | {"timestep": self._timetable.beside(call["sample"], call["timestep"])}

    def _enter(self, by: Caller, call: Mapping[str, Any], branches: int) -> tuple[Pass, Step]:
        """The step under way, opened by the first network that is called in it."""
        given, now = self._given, self._modules.now
        if now is not None and given.pipe.scheduler.timesteps is not now.timetable:
            raise PlanRefused(
                f"this block has run a call of the pipeline already, {now.clock.done} of "
                f"{given.plan.steps} steps of it; enter `cached` again for every call"
            )
        if now is not None and now.step is not None:
            return now, now.step
        sample = call["sample"]
        if now is None:
            now = self._modules.now = first_call(given, by, call, sample.shape[0] // branches)
        now.recorder.begin()
        guided = sample[-now.images :]
        now.step = step = now.clock.begin(given.guidance, guided)
        now.values.see_input(step, guided)
        return now, step

    def _prepare(self, now: Pass, step: Step, network: str, call: Mapping[str, Any]) -> None:
        """Settles what the step does in this network."""
        now.recorder.called(network, now.branches)
        if now.constant[network]:
            self._forgetting.forget(now, step, network, call)
        now.clock.settle(step)

    def _look(
        self,
        now: Pass,
        step: Step,
        network: str,
        net: Any,
        original: Callable[..., Any],
        call: dict[str, Any],
        *,
        lone: bool,
    ) -> None:
        """Shows a gate the feature it decides the step by, where this network computes it: of the guided branch, and
        nothing else. A `lone` call is of that branch already."""
        if (feature := now.clock.looks(step, network)) is None:
            return
        now.branches = 1
        self._prepare(now, step, network, call)
        part = call if lone else guided_only(call, now.images)
        with glimpse(now, step, feature) as glimpsed:
            self._run(now, glimpsed, network, net, original, {**part, "return_dict": False})

    def _run(
        self, now: Pass, step: Step, network: str, net: Any, original: Callable[..., Any], call: dict[str, Any]
    ) -> Any:
        """A network's own forward, or a recording of it. A replay writes over what the one before returned."""
        if self._session is None:
            return original(**call)
        row = tuple(step.states[site.name] for site in now.anatomy.within(network)), frozenset(self._given.plan.table)
        return self._session.call(network, self._given.networks.called(net), row, original, call)


def _kept_residuals(now: Pass, step: Step, name: str, net: Any, call: Mapping[str, Any]) -> Any:
    """A ControlNet's outputs when nothing in it is computed."""
    sites = now.anatomy.residuals[name]
    if name in step.off:  # what stands in for a dead site is nobody's business, but these are added, times zero
        values = [now.values.zeros(site, now.branches, now.like) for site in sites]
    else:
        values = [now.values.stand_in(step, site, 0, now.branches, now.like) for site in sites]
    scaled = scaled_residuals(net, values[:-1], values[-1], residual_scale(net, call), call["guess_mode"])
    return ControlNetOutput(*scaled) if call["return_dict"] else scaled


def _check_inputs(call: Mapping[str, Any]) -> None:
    """Raises PlanRefused for inputs of the UNet that reach it by ways the survey does not follow."""
    for embeds in (call["added_cond_kwargs"] or {}).get("image_embeds", ()):
        if embeds.shape[1] != 1:
            raise PlanRefused(
                f"{embeds.shape[1]} images for one IP-Adapter cannot be cached; load the adapter once for each image"
            )
