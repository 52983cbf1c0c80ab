"""One pass of a pipeline under a plan: what each of its networks and modules does instead of its own forward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetOutput
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import nn

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Block, Kind, Site, State, upstream
from hgc.cache.anatomy.macs import measure
from hgc.cache.anatomy.networks import Networks, check_inputs, is_union, residual_scale, scaled_residuals
from hgc.cache.anatomy.sites import anatomy_of, survey
from hgc.cache.plan import Plan
from hgc.cache.recording.rows import Recordings
from hgc.cache.recording.session import Frame, Session
from hgc.cache.rehearsal import attended, check, rehearse
from hgc.cache.rules import PlanRefused
from hgc.cache.running.caller import Belonging, Caller, arguments, caller, guided_half
from hgc.cache.running.clock import Clock, Step
from hgc.cache.running.constants import Constants
from hgc.cache.running.patching import Beyond
from hgc.cache.running.recorder import Recorder, Stopwatch
from hgc.cache.running.timetable import Timetable
from hgc.cache.running.values import Values, Watching
from hgc.cache.trace import Trace


@dataclass(frozen=True)
class Pass:
    """The facts that a run knows from its first step on, when the sizes are known."""

    images: int
    like: torch.Tensor
    timetable: torch.Tensor  # the scheduler makes a new one for every call of the pipeline
    anatomy: Anatomy
    clock: Clock
    recorder: Recorder
    values: Values
    constants: Constants
    constant: Mapping[str, tuple[Site, ...]]  # those the plan keeps, by network; computed when first needed


@dataclass
class Glimpse:
    """A call of a network that computes one feature and what it is made of, all of which is forgotten but that."""

    feature: str
    value: torch.Tensor | None = None

    def take(self, name: str, value: torch.Tensor) -> None:
        if name == self.feature:
            self.value = value


class Run:
    """One pass of a pipeline under a plan."""

    def __init__(self, pipe: Any, plan: Plan, watching: Watching, recordings: Recordings | None = None) -> None:
        self.plan = plan
        self._pipe, self._watching = pipe, watching
        self._networks = Networks.of(pipe)
        self._belonging = Belonging(pipe, self._networks)
        self._survey = survey(self._networks)
        # A module that every step computes is left alone, unless somebody looks.
        anatomy = anatomy_of(self._survey, plan.model, {})
        # A row that may be recorded is met once with all its sites timed.
        self._everything = watching.all or (recordings is not None and recordings.records(self._networks.unet))
        self._attended = frozenset(anatomy.by_name) if self._everything else attended(plan, anatomy)
        handed = (*plan.table, *([anatomy.glimpsed] if plan.gate is not None and plan.gate.by else []))
        self._session = None if recordings is None else Session(recordings, self, handed, watching.onlooker)
        self.frame: Frame | None = None  # of the network's call under way, where rows are recorded
        self._text_given = torch.empty(0)  # to the network's call under way
        self.timetable = Timetable()
        self.beyond: Beyond | None = None  # makes a call as if there were no such run
        self._pass: Pass | None = None
        self._step: Step | None = None
        self._branches = 0  # of the network call under way; a ControlNet in guess mode sees the guided one only
        self._forgotten: set[str] = set()  # networks whose constants are to be computed anew
        self._entered: set[str] = set()  # ControlNets that were called in the step under way
        self._glimpse: Glimpse | None = None  # the one under way
        self._repeats: Counter[str] = Counter()  # calls of a Union network's repeated sites in the step under way

    @property
    def trace(self) -> Trace:
        """The steps executed so far. Raises RuntimeError before the first step."""
        replays = None if self._session is None else self._session.replays()
        return self._open.recorder.trace(self._open.values.store.peak_bytes, replays)

    @property
    def reads(self) -> int:
        """How often the run waited for the device to decide by numbers."""
        return self._open.clock.reads

    def close(self) -> None:
        """Leaves the recordings to other runs."""
        if self._session is not None:
            self._session.close()

    def forget(self) -> None:
        """Has the next step compute anew what is kept because it does not depend on the step.

        For callbacks that change weights through `.data`; every other change is noticed.
        """
        self._forgotten = {"unet", *self._networks.controls}

    def unmet(self) -> str | None:
        """Why nothing was cached, or not all, in words for a person; None where it was."""
        return self._belonging.unmet(0 if self._pass is None else self._pass.clock.done, self.plan.steps)

    def outside(self) -> dict[nn.Module, Callable[[], None]]:
        """Who is told of a network's calls from other threads."""
        return self._belonging.outside()

    def handlers(self) -> dict[nn.Module, Callable[..., Any]]:
        """The functions in place of each module's forward while the block runs."""
        handlers: dict[nn.Module, Callable[..., Any]] = {}
        for site in self._survey.sites:
            if site.name not in self._attended:
                continue
            for part, module in enumerate(self._survey.modules.get(site.name, ())):
                if site.name in self._survey.repeated:
                    handlers[module] = partial(self._repeated, site.name)
                elif site.kind is Kind.TEXT_KV:
                    handlers[module] = partial(self._text, site.name, part)
                else:
                    handlers[module] = partial(self._site, site.name, part, site.kind is Kind.TRANSFORMER)
        for block in self._survey.blocks:
            if self._everything or block.name in self._attended:
                whole: Any = self._survey.modules[block.name][0]
                handlers[whole] = partial(self._block, block, len(whole.resnets) - 1)
        own: dict[Any, Callable[..., Any]] = {self._networks.unet: self._unet}
        own |= {net: partial(self._control, name, net) for name, net in self._networks.controls.items()}
        for net, handler in own.items():
            called = self._networks.called(net)
            handlers[called] = partial(self._network, called, handler)
        return handlers

    @property
    def _open(self) -> Pass:
        if self._pass is None:
            raise RuntimeError("nothing was run yet: call the pipeline inside the `with cached(...)` block")
        return self._pass

    def _network(
        self, net: nn.Module, own: Callable[..., Any], original: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """A network's call, which another pipeline's is not ours to touch."""
        by = caller()
        if self._belonging.claims(by):
            return own(by, original, *args, **kwargs)
        assert self.beyond is not None  # the block is entered
        return self.beyond(net, original, *args, **kwargs)

    def _control(self, name: str, net: Any, by: Caller, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A ControlNet's call; in guess mode it sees the guided samples only."""
        call = self._arguments(net, args, kwargs)
        lone = bool(call["guess_mode"]) and self._guidance
        step = self._enter(by, call, 1 if lone or not self._guidance else 2)
        if name in self._entered:
            raise PlanRefused(
                f"plan '{self.plan.name}', step {step.number}: '{name}' is called a second time and the UNet was not; "
                "if a callback replaced the pipeline's UNet, enter `cached` again after that"
            )
        self._entered.add(name)
        self._repeats.clear()
        if not residual_scale(net, call):
            step.off.add(name)
        # One recording serves every scale: it is multiplied with afterwards, where that gives the same numbers.
        apart = not (call["guess_mode"] or net.config.global_pool_conditions or is_union(net))
        scale = call["conditioning_scale"] if apart else 1.0
        unscaled = {} if scale == 1.0 else {"conditioning_scale": 1.0}
        self._look(step, name, net, original, call | unscaled, lone=lone)
        self._branches = 1 if lone else step.branches
        self._prepare(step, name, call)
        if name in step.idle:
            return self._kept_residuals(step, name, net, call)
        call = call if lone else self._narrowed(step, call)
        if self._session is None:
            return original(**call)
        down, middle = self._run(name, net, step, original, {**call, "return_dict": False} | unscaled)
        if scale != 1.0:
            torch._foreach_mul_([*down, middle], scale)
        return ControlNetOutput(down, middle) if call["return_dict"] else (down, middle)

    def _run(self, network: str, net: nn.Module, step: Step, original: Callable[..., Any], call: dict[str, Any]) -> Any:
        """A network's own forward, or a recording of it. A replay writes over what the one before returned."""
        if self._session is None:
            return original(**call)
        sites = self._open.anatomy.within(network)
        row = tuple(step.states[site.name] for site in sites), frozenset(self.plan.table)
        return self._session.call(network, self._networks.called(net), row, original, call)

    def _look(
        self, step: Step, network: str, net: Any, original: Callable[..., Any], call: dict[str, Any], *, lone: bool
    ) -> None:
        """Shows a gate the feature it decides the step by, where this network computes it: of the guided branch, and
        nothing else. A `lone` call is of that branch already."""
        now = self._open
        if (feature := now.clock.looks(step, network)) is None:
            return
        self._branches = 1
        self._prepare(step, network, call)
        held = {name: action for name, action in step.actions.items() if now.anatomy[name].constant}
        states = upstream(now.anatomy, held, feature)
        part = call if lone else {name: guided_half(value, 2 * now.images) for name, value in call.items()}
        self._step = replace(step, states=states, idle=now.anatomy.idle(states))
        self._glimpse = glimpse = Glimpse(feature)
        try:
            self._run(network, net, self._step, original, {**part, "return_dict": False})
        finally:
            self._step, self._glimpse = step, None
        now.recorder.glimpsed([name for name, state in states.items() if state is State.COMPUTED], now.images)
        self._repeats.clear()
        assert glimpse.value is not None  # the network computes it
        now.clock.look(step, glimpse.value)

    def _kept_residuals(self, step: Step, name: str, net: Any, call: Mapping[str, Any]) -> Any:
        """A ControlNet's outputs when nothing in it is computed."""
        now = self._open
        sites = now.anatomy.residuals[name]
        if name in step.off:  # what stands in for a dead site is nobody's business, but these are added, times zero
            values = [now.values.zeros(site, self._branches, now.like) for site in sites]
        else:
            values = [self.stand_in(site) for site in sites]
        scaled = scaled_residuals(net, values[:-1], values[-1], residual_scale(net, call), call["guess_mode"])
        return ControlNetOutput(*scaled) if call["return_dict"] else scaled

    def _unet(self, by: Caller, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The UNet's call, the last of a step."""
        call = self._arguments(self._networks.unet, args, kwargs)
        as_tuple = not call.pop("return_dict")
        check_inputs(call)
        step = self._enter(by, call, 2 if self._guidance else 1)
        self._look(step, "unet", self._networks.unet, original, call, lone=not self._guidance)
        self._branches, now = step.branches, self._open
        self._prepare(step, "unet", call)
        executed = step.states[PREDICTION] is State.COMPUTED
        if executed:
            call = {**self._narrowed(step, call), "return_dict": False}
            guided = self._run("unet", self._networks.unet, step, original, call)[0]
            if self._session is not None:
                guided = guided.clone()  # a solver may keep it beyond the next replay
            self._take_in(step, PREDICTION, 0, guided, step.branches)
        else:
            guided = now.values.stand_in(step, PREDICTION, 0, step.branches, now.like)
        out = self._rejoined(step, guided, executed)
        now.recorder.end(step, step.branches if executed else 0)
        if self._session is not None:
            self._session.end_step()
        self._step = None
        self._entered.clear()
        return (out,) if as_tuple else UNet2DConditionOutput(sample=out)

    def _arguments(self, net: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        """A network's call by name, its timestep where its sample is."""
        call = arguments(net, args, kwargs)
        return call | {"timestep": self.timetable.beside(call["sample"], call["timestep"])}

    @property
    def _guidance(self) -> bool:
        return bool(self._pipe.do_classifier_free_guidance)

    def _enter(self, by: Caller, call: Mapping[str, Any], branches: int) -> Step:
        """The step under way, opened by the first network that is called in it."""
        if self._pass is not None and self._pipe.scheduler.timesteps is not self._pass.timetable:
            raise PlanRefused(
                f"this block has run a call of the pipeline already, {self._pass.clock.done} of "
                f"{self.plan.steps} steps of it; enter `cached` again for every call"
            )
        if self._step is not None:
            return self._step
        sample = call["sample"]
        if self._pass is None:
            self._pass = self._meet(by, call, sample.shape[0] // branches)
        self._pass.recorder.begin()
        guided = sample[-self._pass.images :]
        self._step = self._pass.clock.begin(self._guidance, guided)
        self._pass.values.see_input(self._step, guided)
        return self._step

    def _meet(self, by: Caller, call: Mapping[str, Any], images: int) -> Pass:
        """The first call tells the sizes; here the plan is checked against model, steps and control windows."""
        sample, text = call["sample"], call["encoder_hidden_states"]
        latent = (sample.shape[-2], sample.shape[-1])
        maps, names = call.get("controlnet_cond"), tuple(self._networks.controls)
        given = {names[0]: len(maps)} if isinstance(maps, list) and len(names) == 1 else {}
        networks = replace(self._networks, conditions={**given, **by.conditions(names)})
        anatomy = measure(networks, latent, text.shape[1], model=self.plan.model)
        check(self.plan, anatomy, by.steps(self._pipe))
        off = by.control_off(tuple(self._networks.controls))
        rehearse(self.plan, anatomy, guidance=self._guidance, guess=bool(call.get("guess_mode")), off=off)
        recorder = Recorder(self.plan, anatomy, images, sample, Stopwatch(sample.device), self._attended)
        values = Values(self.plan, anatomy, images, recorder, self._watching)
        constant = {
            network: tuple(s for s in anatomy.within(network) if s.constant and s.name in self.plan.table)
            for network in ("unet", *self._networks.controls)
        }
        clock, constants = Clock(self.plan, anatomy), Constants(self._survey)
        timetable = self._pipe.scheduler.timesteps
        return Pass(images, sample, timetable, anatomy, clock, recorder, values, constants, constant)

    def _prepare(self, step: Step, network: str, call: Mapping[str, Any]) -> None:
        """Settles what the step does in this network."""
        now = self._open
        now.recorder.called(network, self._branches)
        if sites := now.constant[network]:
            self._forget(step, network, now.constants.stale(sites, call))
            for site in sites:
                if site.name in step.actions and not now.values.holds(site.name, self._branches):
                    del step.actions[site.name]
            if self._session is not None:
                self._recorded_texts(step, sites, call)
        now.clock.settle(step)

    def _recorded_texts(self, step: Step, sites: Sequence[Site], call: Mapping[str, Any]) -> None:
        """Has keys and values of another text computed; a replay cannot notice it at their projections."""
        now = self._open
        self._text_given = call["encoder_hidden_states"][-now.images * self._branches :]
        for name in [site.name for site in sites if site.kind is Kind.TEXT_KV and site.name in step.actions]:
            parts = (now.constants.text_changed(name, part, self._text_given) for part in (0, 1))
            if (changed := next((reason for reason in parts if reason is not None), None)) is not None:
                step.reasons[name] = changed
                now.values.forget(name)
                del step.actions[name]

    def _forget(self, step: Step, network: str, stale: Mapping[str, str]) -> None:
        """Lets go of values that no longer hold, and of all the network's constants where that was asked for."""
        now, reasons = self._open, dict(stale)
        if network in self._forgotten:
            self._forgotten.discard(network)
            reasons |= dict.fromkeys([site.name for site in now.constant[network]], "forgotten on request")
        for name, reason in reasons.items():
            now.values.forget(name)
            step.reasons[name] = reason

    def _site(
        self, name: str, part: int, wrapped: bool, original: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        step = self._step
        if step is None:
            return original(*args, **kwargs)
        if step.states[name] is not State.COMPUTED:
            value = self._handed(step, name, part)
            return (value,) if wrapped else value
        return self._computed(step, name, part, wrapped, original, *args, **kwargs)

    def _repeated(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A site that a Union network calls once for every control map."""
        part = self._repeats[name]
        self._repeats[name] += 1
        return self._site(name, part, False, original, *args, **kwargs)

    def _text(self, name: str, part: int, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A projection of the text to keys or values. An attention's processor decides what it is given."""
        step = self._step
        capturing = self.frame is not None and not self.frame.timed  # decided before: see `_recorded_texts`
        if step is None or not args or name not in self.plan.table or capturing:
            return self._site(name, part, False, original, *args, **kwargs)
        now = self._open
        if step.states[name] is not State.COMPUTED:
            changed = now.constants.text_changed(name, part, args[0])
            if changed is None:
                return self._handed(step, name, part)
            step.reasons[name] = changed
            now.values.forget(name, part)
        now.constants.saw_text(name, part, args[0])
        return self._computed(step, name, part, False, original, *args, **kwargs)

    def _computed(
        self, step: Step, name: str, part: int, wrapped: bool, original: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        now = self._open
        timed = self._watching.all if self.frame is None else self.frame.timed
        mark = now.recorder.watch.start() if timed else None
        out = original(*args, **kwargs)
        span = None if mark is None else now.recorder.watch.stop(mark)
        value = out[0] if wrapped else out
        live = partial(self._take_in, step, name, part, value, self._branches, span)
        if self.frame is None:
            live()
        else:
            self.frame.computed(name, part, value, span, live)
        return out

    def _handed(self, step: Step, name: str, part: int = 0) -> torch.Tensor:
        """The value that stands in for a site inside of a network."""
        if self.frame is None:
            return self.stand_in(name, part)
        return self.frame.stand_in(name, part, step.states[name] is State.DEAD, partial(self.stand_in, name, part))

    def stand_in(self, name: str, part: int = 0) -> torch.Tensor:
        """The run's value of a site that is not computed in the step under way."""
        assert self._step is not None
        return self._open.values.stand_in(self._step, name, part, self._branches, self._open.like)

    def lend(self, name: str, part: int) -> torch.Tensor:
        """The same, for a session that only reads it."""
        assert self._step is not None
        now = self._open
        return now.values.stand_in(self._step, name, part, self._branches, now.like, lent=True)

    def take_in(self, name: str, part: int, value: torch.Tensor) -> None:
        """Keeps what a replay computed; the next one writes over it, and all that is kept are copies."""
        step, now = self._step, self._open
        assert step is not None
        if now.anatomy[name].kind is Kind.TEXT_KV:
            now.constants.saw_text(name, part, self._text_given)
        self._take_in(step, name, part, value, self._branches)

    def replayed(self, network: str, spans: Mapping[str, tuple[Any, ...]]) -> None:
        """Notes that a network's call was replayed, and its sites' times when the row was met first."""
        self._open.recorder.replayed(network, spans)

    def _take_in(self, step: Step, name: str, part: int, value: torch.Tensor, branches: int, span: Any = None) -> None:
        """Keeps what was computed, and shows it to what decides while running."""
        now = self._open
        if self._glimpse is not None:
            self._glimpse.take(name, value)
            return
        error = now.values.computed(step, name, part, value, branches, span)
        now.clock.see_feature(name, value[-now.images :])
        if error is not None:
            now.clock.see_error(step, name, error)

    def _block(self, block: Block, last: int, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Passes a block by when none of its sites is computed: its outputs are kept values or nobody's business.

        `last` is the place of its last layer. What the block hands on twice is one tensor: a T2I-adapter writes into
        the hidden state and means the skip as well, or has its features added to the last layer here.
        """
        step = self._step
        if step is None or block.name not in step.idle:
            return original(*args, **kwargs)
        values = {name: self._handed(step, name) for name in dict.fromkeys((*block.skips, block.hidden))}
        if (features := kwargs.get("additional_residuals")) is not None:
            layer = block.skips[last]
            values[layer] = values[layer] + features
        hidden = values[block.hidden]
        return (hidden, tuple(values[name] for name in block.skips)) if block.skips else hidden

    def _narrowed(self, step: Step, call: dict[str, Any]) -> dict[str, Any]:
        """The call's arguments for the guided half, where the unguided branch is left out."""
        if step.guidance and step.branches == 1:
            return {name: guided_half(value, 2 * self._open.images) for name, value in call.items()}
        return call

    def _rejoined(self, step: Step, guided: torch.Tensor, executed: bool) -> torch.Tensor:
        """Both branches for the pipeline: the unguided one as computed, or what stands in for it."""
        values, state = self._open.values, step.states[UNGUIDED]
        if state is State.ABSENT:
            return guided
        if not executed and step.branches == 2:
            self._open.recorder.kept(UNGUIDED, state, values.age(step, PREDICTION), "inside the kept prediction")
            return guided
        if state is State.COMPUTED:
            unguided, own = guided.chunk(2)
            self._take_in(step, UNGUIDED, 0, own - unguided, 1)
            return guided
        if self.plan.fusion != "difference":
            self._open.recorder.kept(UNGUIDED, state, 0, "guidance dropped from the gate on")
            return torch.cat([guided, guided])
        return torch.cat([guided - values.stand_in(step, UNGUIDED, 0, 1, guided), guided])
