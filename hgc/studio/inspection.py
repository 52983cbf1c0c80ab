"""A comparison looked into: attention maps of both arms and how far every value moved, from two more passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hgc.cache.anatomy import Kind
from hgc.cache.movement import spans, with_drift
from hgc.cache.running.engine import cached
from hgc.cache.running.looking import AttentionLook, DriftLook, Maps
from hgc.cache.running.values import Witness
from hgc.cache.trace import Trace
from hgc.models.words import Word, words_of
from hgc.results.comparison import Cancelled, Comparison

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

Looked = Literal["full", "cached"]
Map = NDArray[np.float16]


@dataclass(frozen=True)
class Look:
    """Step `step` of `steps` of an arm was looked at; the first arm is the full one."""

    arm: Looked
    step: int
    steps: int


@dataclass(frozen=True)
class Used:
    """The attention map [h, w] that an arm went by in a step, and the step in which it was computed."""

    map: Map
    step: int


@dataclass(frozen=True)
class Inspection:
    """The two traces with the drift of every cell, and the map of every word, cross-attention and executed step.

    Drift is measured in the full arm: there a cell of the cached one says how far the true value had moved.
    """

    full: Trace
    cached: Trace
    words: tuple[Word, ...]
    maps: Mapping[Looked, Maps]

    def told(self, comparison: Comparison) -> Comparison:
        """The comparison with traces that know the drift."""
        arms = replace(comparison.full, trace=self.full), replace(comparison.cached, trace=self.cached)
        return replace(comparison, full=arms[0], cached=arms[1])

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The cross-attentions that ran in the full arm, in the order in which a step meets them."""
        names = [site.name for site in self.full.sites if site.kind is Kind.CROSS_ATTENTION]
        return tuple(name for name in names if self.maps["full"].get(name))

    def used(self, arm: Looked, layer: str, word: int, step: int) -> Used | None:
        """The map that the arm used in a step: its own, or that of the latest step in which one was executed.

        A kept value, the layer's own or one computed from it, was made in that step. None before the first.
        """
        maps = self.maps[arm].get(layer, {})
        latest = max((own for own in maps if own <= step), default=None)
        return None if latest is None else Used(maps[latest][word], latest)


def look_into(
    studio: Studio, comparison: Comparison, tell: Callable[[Look], None], stopped: Callable[[], bool]
) -> Inspection:
    """Makes the full and the cached picture once more, watched. Raises Cancelled."""
    with studio.loaded.tokenizing:
        words = words_of(studio.loaded.components["tokenizer"], comparison.request.prompt)
    drift = DriftLook(comparison.full.trace.images, spans(comparison.full.trace, comparison.cached.trace))
    maps: dict[Looked, Maps] = {}
    traces: dict[Looked, Trace] = {"full": comparison.full.trace, "cached": comparison.cached.trace}
    for arm, trace in traces.items():
        pipe = studio.loaded.pipeline(comparison.request.control, comparison.request.sampler)
        attention = AttentionLook(pipe, studio.anatomy(), [word.tokens for word in words])
        witness = both(attention, drift) if arm == "full" else attention
        call = studio.call(comparison.request) | {"num_inference_steps": trace.plan.steps, "output_type": "latent"}
        adjustment = studio.adjustment(trace.plan, comparison.request)
        with cached(pipe, trace.plan, witness=witness, adjustment=adjustment), attention.at_queries():
            pipe(**call, callback_on_step_end=partial(_after_step, arm, trace.plan.steps, tell, stopped))
        maps[arm] = attention.maps
    full, kept = (with_drift(trace, drift.moved) for trace in traces.values())
    return Inspection(full, kept, words, maps)


def both(*witnesses: Witness) -> Witness:
    """One witness that tells several."""

    def told(kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        for witness in witnesses:
            witness(kind, site, step, value)

    return told


def _after_step(
    arm: Looked,
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
