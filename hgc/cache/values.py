"""The values of one run: what a site computed goes in, what stands in for a site comes out, and both are recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from hgc.cache.adjustment import Lines
from hgc.cache.anatomy import Anatomy, Kind, State
from hgc.cache.clock import Step
from hgc.cache.forecast import per_channel, relative_l1
from hgc.cache.plan import Plan
from hgc.cache.recorder import Recorder
from hgc.cache.rules import REPEAT
from hgc.cache.store import Kept, Part, Store, Wanted

ATTENTION = (Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION)

Witness = Callable[[Kind, str, int, torch.Tensor], None]  # a site's kind and name, the step, the computed value


@dataclass(frozen=True)
class Watching:
    """What a run is given beside its plan: who looks on, and the numbers that scale-shift forecasts need."""

    observe: bool = False
    witness: Witness | None = None
    adjustment: Lines | None = None


class Values:
    """Keeps a value only while the plan has a use for it; `observe` keeps the last one of every site as well."""

    def __init__(self, plan: Plan, anatomy: Anatomy, images: int, recorder: Recorder, watching: Watching) -> None:
        self._plan, self._anatomy, self._images = plan, anatomy, images
        self._recorder, self._watching = recorder, watching
        self.store = Store()
        self._last_use = {site: max(row.rfind("R"), row.rfind("F")) for site, row in plan.table.items()}
        self._depth = {site: plan.forecast_of(site).depth if "F" in row else 1 for site, row in plan.table.items()}
        self._blanks: dict[tuple[int, ...], torch.Tensor] = {}
        self._lines: dict[tuple[str, int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def computed(self, step: Step, name: str, part: int, value: torch.Tensor, branches: int, span: Any) -> None:
        """Takes in what a site computed for `branches` branches."""
        if self._watching.witness is not None and part == 0:
            self._watching.witness(self._anatomy[name].kind, name, step.number, value)
        observed = self._watching.observe and part == 0
        drift = self._drift(name, value) if observed else None
        depth = self._depth.get(name, 0) if step.number < self._last_use.get(name, -1) else 0
        if depth or observed:
            self.store.keep((name, part), value, step.number, branches, max(depth, 1))
        self._recorder.computed(name, self._images * branches, step.reasons.get(name, step.reason), span, drift)

    def forget(self, name: str) -> None:
        """Lets go of a site's values, all its parts."""
        for part in (0, 1):
            self.store.forget((name, part))

    def holds(self, name: str, branches: int) -> bool:
        """Whether a value is kept that serves so many branches."""
        return self.store.holds((name, 0), branches)

    def stand_in(self, step: Step, name: str, part: int, branches: int, like: torch.Tensor) -> torch.Tensor:
        """A kept or forecast value; for a dead site a blank of the right shape, which nobody reads.

        Raises PlanRefused when nothing that fits is kept.
        """
        shape, state = (self._images * branches, *self._anatomy[name].shape[1:]), step.states[name]
        if state is State.DEAD:
            if shape not in self._blanks:
                self._blanks[shape] = like.new_zeros(()).expand(shape)
            return self._blanks[shape]
        forecast = self._plan.forecast_of(name) if state is State.FORECAST else REPEAT
        adjust = partial(self._adjusted, name, step.number) if forecast.basis == "scale_shift" else None
        wanted = Wanted(step.number, branches, shape, forecast, self._alone(name), adjust)
        value = self.store.read((name, part), wanted)
        self._recorder.kept(name, state, self.age(step, name, part), step.reasons.get(name, step.reason))
        return value

    def _adjusted(self, name: str, step: int, value: torch.Tensor, since: int) -> torch.Tensor:
        """A kept value scaled and shifted for each channel. Raises CalibrationRefused where that was not measured."""
        assert self._watching.adjustment is not None  # `cached` saw to it
        if (name, since, step) not in self._lines:
            numbers = self._watching.adjustment.at(name, since, step)
            scale, shift = (per_channel(torch.as_tensor(number).to(value), value) for number in numbers)
            self._lines[name, since, step] = scale, shift
        scale, shift = self._lines[name, since, step]
        return torch.addcmul(shift, value, scale)

    def _alone(self, name: str) -> Part:
        """What one branch goes on with from a value of two."""
        averaged = self._plan.fusion == "average" and self._anatomy[name].kind in ATTENTION
        return Kept.average if averaged else Kept.guided

    def age(self, step: Step, name: str, part: int = 0) -> int:
        """Steps since the last value was computed."""
        return step.number - self.store.newest((name, part))

    def _drift(self, name: str, value: torch.Tensor) -> torch.Tensor | None:
        before = self.store.latest((name, 0))
        return None if before is None else relative_l1(value[-self._images :], before[-self._images :])
