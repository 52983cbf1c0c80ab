"""A pipeline that caches every call until it is told not to: the two lines for who has a diffusers pipeline.

    handle = hgc.enable(pipe, "hgc", budget=0.37)
    image = pipe(prompt, image=control).images[0]
    handle.last.macs
    hgc.disable(pipe)

Sizes, steps and tokens are read off each call when its first network runs; the plan is made there, and again whenever
one of them has changed. Only the pipeline's class is exchanged for one whose call does this; networks are touched while
a call runs, and are what they were after it, whatever ended it. Copies and pickles are of the plain pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial, wraps
from typing import Any, TypeAlias
from warnings import warn

from torch import nn

from hgc import limits, planning
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.running.belonging import NotCached
from hgc.cache.running.caller import Caller, arguments, caller
from hgc.cache.running.engine import cached as run_cached
from hgc.cache.running.patching import replaced_forwards
from hgc.cache.running.run import Run
from hgc.cache.running.watching import Watching
from hgc.cache.trace import Trace
from hgc.calibration.lines import Adjustment
from hgc.calibration.measure import weights_of
from hgc.calibration.subject import Subject
from hgc.models.loaded import SAMPLERS
from hgc.models.presets import presets
from hgc.models.remembered import remembered
from hgc.planning import calibrations, optimised
from hgc.planning.calibrations import NotCalibrated, used_by
from hgc.planning.methods import DEFAULT_METHOD, method_of
from hgc.request import Recipe, RequestRefused

BUDGET = 0.37  # of full compute: what the paper's headline leaves of it
HANDLE = "_hgc_handle"
Handlers: TypeAlias = Mapping[nn.Module, Callable[..., Any]]


class Enabled:
    """The answer of `enable`. `last` is the trace of the last call that ended well, None before there was one."""

    def __init__(self, pipe: Any, method: str, budget: float) -> None:
        self.pipe = pipe
        self.last: Trace | None = None
        self.recipe = Recipe.parse({"method": method, "budget": budget})
        self._known: tuple[Any, Plan, Adjustment | None] | None = None
        self._paused = 0

    @property
    def trace(self) -> Trace:
        """The last call's. Raises RuntimeError before there was one."""
        if self.last is None:
            raise RuntimeError("nothing was run yet: call the pipeline first")
        return self.last

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call of the pipeline."""
        if self._paused:
            yield
            return
        with ExitStack() as stack:
            one = _Call(self, stack)
            stack.enter_context(replaced_forwards(one.handlers()))
            yield
            if one.run is not None:
                self.last = one.run.trace

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Calls inside the block are plain, for who runs them by a plan of his own."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def plan(
        self, anatomy: Anatomy, steps: int, guidance: float, off: schedules.Off | None
    ) -> tuple[Plan, Adjustment | None]:
        """The plan of a call, with the numbers that its forecasts need; both again where nothing has changed."""
        key = (anatomy, steps, guidance, off, _sampler_of(self.pipe))
        if self._known is None or self._known[0] != key:
            self._known = key, *self._planned(anatomy, steps, guidance, off)
        return self._known[1:]

    def _planned(
        self, anatomy: Anatomy, steps: int, guidance: float, off: schedules.Off | None
    ) -> tuple[Plan, Adjustment | None]:
        if steps < 2:
            return schedules.exact(anatomy, steps), None
        fields: dict[str, Any] = {"model": anatomy.model, "steps": steps, "guidance": guidance}
        fields["sampler"] = _sampler_of(self.pipe)
        weights, method = cache(partial(weights_of, self.pipe)), method_of(self.recipe.method)
        measured = optimised.measured_on(_model_of(self.pipe), weights)
        if measured is None and method.calibrated:
            measured = calibrations.measured_on(weights())
            if measured is None:
                raise NotCalibrated(_uncalibrated(self.pipe, method.title, steps, guidance))
        if measured is not None:
            anatomy = replace(anatomy, model=measured.model)
            fields |= {"model": measured.model, "control": measured.control}
        if off is not None and anatomy.residuals:
            on = [step for step, names in enumerate(off) if len(names) < len(anatomy.residuals)]
            window = (on[0] / steps, (on[-1] + 1) / steps) if on else (0.0, 1.0)
            fields |= {"control_start": window[0], "control_end": window[1], "control_scale": float(bool(on))}
        recipe = self.recipe.but(**fields)
        blueprint = planning.Blueprint(
            anatomy.model,
            lambda _recipe: anatomy,
            (recipe.control,),
            lambda _recipe: weights(),
            (recipe.sampler,),
        )
        plan = planning.plan(recipe, blueprint)
        return plan, used_by(plan, recipe, weights()).read().adjustment if plan.fitted else None


def _sampler_of(pipe: Any) -> str:
    """The scheduler by its name here, or its class's for one that has none: nothing was measured with that."""
    kind = type(pipe.scheduler)
    return next((name for name, known in SAMPLERS.items() if known is kind), kind.__name__)


def _model_of(pipe: Any) -> str | None:
    """The known model that the UNet was loaded from, as diffusers notes it."""
    origin = str(pipe.unet.config.get("_name_or_path"))
    known = {**presets(), **remembered()}
    return next((name for name, preset in known.items() if origin.startswith(preset.source)), None)


def _uncalibrated(pipe: Any, title: str, steps: int, guidance: float) -> str:
    """Why a method that goes by measurements cannot be used on a pipeline, and what can be done."""
    nets, sampler, model = len(Networks.of(pipe).controls), _sampler_of(pipe), _model_of(pipe)
    said = f"{title} goes by measurements of the very weights, and of this pipeline's there are none here"
    if nets != 1:
        said += f"; they are made under one ControlNet, and it has {nets or 'none'}: "
    elif sampler not in SAMPLERS:
        said += f"; they are made with {', '.join(SAMPLERS)}, and it has {sampler}: "
    else:
        naming = "" if model else "give the model a name, `hgc models add FILE --name NAME`, then "
        subject = Subject(model or "NAME", "KIND", sampler, steps, guidance)
        said += f": {naming}`{subject.command}`, where KIND is what its ControlNet reads, such as edges; or "
    return f"{said}choose a method that needs none, such as hgc"


class _Call:
    """One call of an enabled pipeline: its first network's call says what is to be planned."""

    def __init__(self, handle: Enabled, stack: ExitStack) -> None:
        self._handle, self._stack = handle, stack
        self._inner: Handlers = {}
        self.run: Run | None = None

    def handlers(self) -> Handlers:
        networks = Networks.of(self._handle.pipe)
        return {networks.called(net): partial(self._first, net) for net in networks.all}

    def _first(self, net: Any, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A network's call before there is a run; afterwards the run's own handler stands before this one."""
        by = caller()
        if by.pipe is not self._handle.pipe:
            return original(*args, **kwargs)
        networks = Networks.of(self._handle.pipe)
        if self.run is None:
            self.run = self._opened(networks, by, arguments(net, args, kwargs))
        return self._inner[networks.called(net)](original, *args, **kwargs)

    def _opened(self, networks: Networks, by: Caller, call: Mapping[str, Any]) -> Run:
        pipe, names = self._handle.pipe, tuple(networks.controls)
        maps = next(iter(by.conditions(names).values()), 1)
        latent = (call["sample"].shape[-2], call["sample"].shape[-1])
        tokens = call["encoder_hidden_states"].shape[1]
        anatomy = measure(Networks.of(pipe, maps), latent, tokens, model=type(pipe).__name__)
        guidance = min(float(pipe.guidance_scale), limits.GUIDANCE) if pipe.do_classifier_free_guidance else 1.0
        plan, adjustment = self._handle.plan(anatomy, by.steps(pipe), guidance, by.control_off(names))
        run = Run(pipe, plan, Watching(adjustment=adjustment))
        self._inner = run.handlers()
        run.beyond = self._stack.enter_context(replaced_forwards(self._inner, run.outside()))
        return run


def enable(pipe: Any, method: str = DEFAULT_METHOD, *, budget: float = BUDGET) -> Enabled:
    """Has every call of `pipe` cached by a method, within a share of full compute, until `disable`.

    Enabling again takes the new method. Raises PlanRefused for a pipeline that cannot be followed, RequestRefused for a
    method or budget there is not; a call raises BelowLeast where the method cannot go down to the budget, NotCalibrated
    where it goes by measurements of these weights and there are none.
    """
    disable(pipe)
    if method_of(method).name == "fewer_steps":
        raise RequestRefused("fewer steps are not a cache: ask the pipeline for them, num_inference_steps")
    Networks.of(pipe)
    handle = Enabled(pipe, method, budget)
    pipe.__class__ = _caching(type(pipe), handle)
    return handle


def disable(pipe: Any) -> None:
    """Makes the pipeline what it was before `enable`; one that was not enabled stays as it is."""
    if handle_of(pipe) is not None:
        pipe.__class__ = type(pipe).__bases__[0]


def handle_of(pipe: Any) -> Enabled | None:
    """The handle of an enabled pipeline."""
    handle: Enabled | None = vars(type(pipe)).get(HANDLE)
    return handle


@contextmanager
def cached(pipe: Any, plan: Plan | str = DEFAULT_METHOD, *, budget: float = BUDGET, **settings: Any) -> Iterator[Any]:
    """Runs calls of `pipe` in the block by a method's name within a budget, or the next one under a plan.

    The block's value has the last call's `trace`. A plan may be accompanied by the settings of
    `hgc.cache.running.engine.cached`. Warns with NotCached where nothing ran.
    """
    before = handle_of(pipe)
    if isinstance(plan, Plan):
        with ExitStack() as stack:
            if before is not None:
                stack.enter_context(before.paused())
            yield stack.enter_context(run_cached(pipe, plan, **settings))
        return
    handle = enable(pipe, plan, budget=budget)
    try:
        yield handle
    finally:
        disable(pipe)
        if before is not None:
            pipe.__class__ = _caching(type(pipe), before)
    if handle.last is None:
        warn("the pipeline was not called inside the `with cached(...)` block: nothing was cached", NotCached, 3)


def _blank(kind: Any) -> Any:
    return kind.__new__(kind)


def _caching(plain: Any, handle: Enabled) -> type[Any]:
    """A class like a pipeline's, whose call is cached; pickles and copies are of the plain one."""

    @wraps(plain.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with handle.call():
            return plain.__call__(self, *args, **kwargs)

    def reduced(self: Any, protocol: Any) -> Any:
        return (_blank, (plain,), *plain.__reduce_ex__(self, protocol)[2:])

    own = {"__call__": call, "__reduce_ex__": reduced, "__module__": plain.__module__, HANDLE: handle}
    return type(plain.__name__, (plain,), {**own, "__qualname__": plain.__qualname__})
