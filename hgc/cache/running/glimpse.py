"""A glimpse: a call of a network that computes the feature that a gate goes by, and nothing that it is not made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from hgc.cache.anatomy import State
from hgc.cache.anatomy.states import upstream
from hgc.cache.running.clock import Step
from hgc.cache.running.first_call import Pass


@dataclass
class _Seen:
    """Of all that is computed only the feature."""

    feature: str
    value: torch.Tensor | None = None

    def __call__(self, name: str, value: torch.Tensor) -> None:
        if name == self.feature:
            self.value = value


@contextmanager
def glimpse(now: Pass, step: Step, feature: str) -> Iterator[Step]:
    """Calls of the feature's network in the block, under the block's value, are a glimpse; the gate decides by it."""
    held = {name: action for name, action in step.actions.items() if now.anatomy[name].constant}
    states = upstream(now.anatomy, held, feature)
    seen = _Seen(feature)
    now.step, now.glimpse = replace(step, states=states, idle=now.anatomy.idle(states)), seen
    try:
        yield now.step
    finally:
        now.step, now.glimpse = step, None
    now.recorder.glimpsed([name for name, state in states.items() if state is State.COMPUTED], now.images)
    now.repeats.clear()
    assert seen.value is not None  # the network computes it
    now.clock.look(step, seen.value)
