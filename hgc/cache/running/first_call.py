"""A run's first call of a network: it tells the sizes, and the plan is checked against what is then known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from hgc.cache.anatomy import Anatomy, Site
from hgc.cache.anatomy.layers import Survey
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import check, rehearse
from hgc.cache.running.caller import Caller
from hgc.cache.running.clock import Clock, Step
from hgc.cache.running.constants import Constants
from hgc.cache.running.recorder import Recorder
from hgc.cache.running.stopwatch import Stopwatch
from hgc.cache.running.values import Values
from hgc.cache.running.watching import Watching


@dataclass(frozen=True)
class CallInputs:
    """What a run knows before anything is called; it stands before the modules of the `attended` sites and blocks."""

    pipe: Any
    plan: Plan
    watching: Watching
    networks: Networks
    survey: Survey
    attended: frozenset[str]

    @property
    def guidance(self) -> bool:
        return bool(self.pipe.do_classifier_free_guidance)


@dataclass
class Pass:
    """A run from its first call on: what it knows then, and what is under way."""

    images: int
    like: torch.Tensor
    timetable: torch.Tensor  # the scheduler makes a new one for every call of the pipeline
    anatomy: Anatomy
    clock: Clock
    recorder: Recorder
    values: Values
    constants: Constants
    constant: Mapping[str, tuple[Site, ...]]  # those the plan keeps, by network; computed when first needed
    step: Step | None = None
    branches: int = 0  # of the network call under way; a ControlNet in guess mode sees the guided one only
    text: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # given to the network's call under way
    glimpse: Callable[[str, torch.Tensor], None] | None = None  # sees what is computed, and nothing is kept of it
    entered: set[str] = field(default_factory=set)  # ControlNets that were called in the step under way
    repeats: Counter[str] = field(default_factory=Counter)  # calls of a Union network's repeated sites in it


def first_call(given: CallInputs, by: Caller, call: Mapping[str, Any], images: int) -> Pass:
    """Raises PlanRefused for a plan that does not fit model, steps and control windows."""
    plan, pipe, names = given.plan, given.pipe, tuple(given.networks.controls)
    sample, text = call["sample"], call["encoder_hidden_states"]
    latent = (sample.shape[-2], sample.shape[-1])
    maps = call.get("controlnet_cond")
    told = {names[0]: len(maps)} if isinstance(maps, list) and len(names) == 1 else {}
    networks = replace(given.networks, conditions={**told, **by.conditions(names)})
    anatomy = measure(networks, latent, text.shape[1], model=plan.model)
    check(plan, anatomy, by.steps(pipe))
    rehearse(plan, anatomy, guidance=given.guidance, guess=bool(call.get("guess_mode")), off=by.control_off(names))
    recorder = Recorder(plan, anatomy, images, sample, Stopwatch(sample.device), given.attended)
    values = Values(plan, anatomy, images, recorder, given.watching)
    constant = {
        network: tuple(s for s in anatomy.within(network) if s.constant and s.name in plan.table)
        for network in ("unet", *names)
    }
    clock, constants = Clock(plan, anatomy), Constants(given.survey)
    return Pass(images, sample, pipe.scheduler.timesteps, anatomy, clock, recorder, values, constants, constant)
