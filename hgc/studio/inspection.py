"""A comparison looked into: attention maps of every arm and how far values moved, from one more pass of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hgc.cache.anatomy import Kind
from hgc.cache.running.attention_look import AttentionLook, Maps
from hgc.cache.running.drift_look import DriftLook, spans, with_drift
from hgc.cache.running.engine import cached
from hgc.cache.running.watching import both
from hgc.cache.trace import Trace
from hgc.models.words import Word, words_of
from hgc.request import ArmName
from hgc.results.comparison import Cancelled, Comparison
from hgc.studio.call import stepping

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

Map = NDArray[np.float16]


@dataclass(frozen=True)
class Look:
    """Step `step` of `steps` of an arm was looked at; the first arm is the full one."""

    arm: ArmName
    step: int
    steps: int


@dataclass(frozen=True)
class Used:
    """The attention map [h, w] that an arm went by in a step, and the step in which it was computed."""

    map: Map
    step: int


@dataclass(frozen=True)
class Inspection:
    """Every arm's trace with the drift of its cells, and the map of every word, cross-attention and executed step.

    Drift is measured in the full arm: there a cell of another one says how far the true value had moved. An arm of
    other steps is its own measure, since its steps are not those of the full one.
    """

    traces: Mapping[ArmName, Trace]
    words: tuple[Word, ...]
    maps: Mapping[ArmName, Maps]

    def told(self, comparison: Comparison) -> Comparison:
        """The comparison with traces that know the drift."""
        arms = {arm.name: replace(arm, trace=self.traces[arm.name]) for arm in comparison.arms.values()}
        return replace(comparison, full=arms["full"], cached=arms["cached"], rival=arms.get("rival"))

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The cross-attentions that ran in the full arm, in the order in which a step meets them."""
        names = [site.name for site in self.traces["full"].sites if site.kind is Kind.CROSS_ATTENTION]
        return tuple(name for name in names if self.maps["full"].get(name))

    def used(self, arm: ArmName, layer: str, word: int, step: int) -> Used | None:
        """The map that the arm used in a step: its own, or that of the latest step in which one was executed.

        A kept value, the layer's own or one computed from it, was made in that step. None before the first.
        """
        maps = self.maps[arm].get(layer, {})
        latest = max((own for own in maps if own <= step), default=None)
        return None if latest is None else Used(maps[latest][word], latest)


def look_into(
    studio: Studio, comparison: Comparison, tell: Callable[[Look], None], stopped: Callable[[], bool]
) -> Inspection:
    """Makes the picture of every arm once more, watched. Raises Cancelled."""
    request, shared = comparison.request, studio.call(comparison.request)
    with studio.loaded.tokenizing:
        words = words_of(studio.loaded.components["tokenizer"], request.prompt)
    drifts = _drifts({name: arm.trace for name, arm in comparison.arms.items()})
    maps: dict[ArmName, Maps] = {}
    traces: dict[ArmName, Trace] = {}
    for name, arm in comparison.arms.items():
        plan, drift = arm.trace.plan, drifts[name]
        pipe = studio.loaded_for(request).pipeline(request.controls, request.sampler, request.task)
        attention = AttentionLook(pipe, studio.anatomy(request), [word.tokens for word in words])
        measuring = name == "full" or drift is not drifts["full"]
        call = shared | stepping(request, plan.steps) | {"output_type": "latent"}
        adjustment = studio.adjustment(plan, request)
        witness = both(attention, drift) if measuring else attention
        with cached(pipe, plan, witness=witness, adjustment=adjustment), attention.at_queries():
            pipe(**call, callback_on_step_end=partial(_after_step, name, plan.steps, tell, stopped))
        maps[name], traces[name] = attention.maps, with_drift(arm.trace, drift.moved)
    return Inspection(traces, words, maps)


def _drifts(traces: Mapping[ArmName, Trace]) -> dict[ArmName, DriftLook]:
    """The look that measures each arm's drift: one at the full arm for all of as many steps, its own for another."""
    steps, images = traces["full"].steps, traces["full"].images
    shared = DriftLook(images, spans(*(trace for trace in traces.values() if trace.steps == steps)))
    return {name: shared if trace.steps == steps else DriftLook(images, spans(trace)) for name, trace in traces.items()}


def _after_step(
    arm: ArmName,
    steps: int,
    tell: Callable[[Look], None],
    stopped: Callable[[], bool],
    _pipe: Any,
    step: int,
    _time: Any,
    _state: Mapping[str, Any],
) -> dict[str, Any]:
    if stopped():
        raise Cancelled(f"stopped after step {step + 1} of {steps} of looking at the {arm} arm")
    tell(Look(arm, step + 1, steps))
    return {}
