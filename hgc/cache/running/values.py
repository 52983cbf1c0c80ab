"""The values of one run: what a site computed goes in, what stands in for a site comes out, and both are recorded."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind, State
from hgc.cache.forecast import by_frequency, per_channel, relative_l1
from hgc.cache.plan import Action, Plan
from hgc.cache.rules import LINE, REPEAT, RESIDUAL, CalibrationRefused, ForecastRule
from hgc.cache.running.clock import Step
from hgc.cache.running.recorder import Recorder
from hgc.cache.running.store import Adjust, Key, NeededValues, Part, Store, StoredValue
from hgc.cache.running.verification import verified
from hgc.cache.running.watching import Watching

UNFORESEEN = "; no weights for these past steps, a {} instead"
ATTENTION = (Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION)


class Values:
    """Keeps a value only while the plan has a use for it; `observe` keeps the last one of every site as well."""

    def __init__(self, plan: Plan, anatomy: Anatomy, images: int, recorder: Recorder, watching: Watching) -> None:
        self._plan, self._anatomy, self._images = plan, anatomy, images
        self._recorder, self._watching = recorder, watching
        self.store = Store()
        self._last_use = {site: max(row.rfind("R"), row.rfind("F")) for site, row in plan.table.items()}
        self._depth = {site: plan.forecast_of(site).depth if "F" in row else 1 for site, row in plan.table.items()}
        self._verified = verified(plan, anatomy)
        self._inputs: dict[int, torch.Tensor] | None = {} if uses_residuals(plan) else None
        self._lines: dict[tuple[str, int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def computed(
        self, step: Step, name: str, part: int, value: torch.Tensor, branches: int, span: Any
    ) -> torch.Tensor | None:
        """Takes in what a site computed for `branches` branches.

        Returns the relative L1 error of the guided half of what the plan would have put there, where it is verified.
        """
        if self._watching.witness is not None and part == 0:
            self._watching.witness(self._anatomy[name].kind, name, step.number, value)
        observed = self._watching.observe and part == 0
        drift = self._drift(name, value) if observed else None
        used = self.used(step, name)
        error = self._error(step, name, value, branches) if used and part == 0 and name in self._verified else None
        depth = self._depth.get(name, 0) if used else 0
        if depth or observed:
            self.store.keep((name, part), value, step.number, branches, max(depth, 1))
        reason = step.reasons.get(name, step.reason)
        self._recorder.computed(name, self._images * branches, reason, span, drift, error)
        if name == PREDICTION and self._inputs is not None:
            self._inputs = {step.number: self._inputs[step.number]}
        return error

    def see_input(self, step: Step, guided: torch.Tensor) -> None:
        """Called once a step with the UNet's input for the guided samples [images, C, h, w]."""
        if self._inputs is not None:
            self._inputs[step.number] = guided.clone()  # a solver may write into it

    def used(self, step: Step, name: str) -> bool:
        """Whether the plan has a use for what a site computes in this step."""
        return step.number < self._last_use.get(name, -1)

    def forget(self, name: str, *parts: int) -> None:
        """Lets go of a site's values, of all its parts or of those named."""
        for part in parts or self.store.parts(name):
            self.store.forget((name, part))

    def holds(self, name: str, branches: int) -> bool:
        """Whether a value is kept that serves so many branches."""
        return self.store.holds((name, 0), branches)

    def stand_in(
        self, step: Step, name: str, part: int, branches: int, like: torch.Tensor, *, lent: bool = False
    ) -> torch.Tensor:
        """A kept or forecast value; for a dead site memory of the right shape, which nobody reads.

        A `lent` one may be the very tensor that is kept, for who only reads it. Raises PlanRefused when nothing that
        fits is kept.
        """
        shape, state = self._shape(name, branches), step.states[name]
        if state is State.DEAD:
            return like.new_empty(shape)
        planned = self._plan.forecast_of(name) if state is State.FORECAST else REPEAT
        forecast = self._followed(step, (name, part), branches, planned)
        adjust = self._adjustment(name, step.number, forecast)
        wanted = NeededValues(step.number, branches, shape, forecast, self._alone(name), adjust, lent)
        value = self.store.read((name, part), wanted)
        reason = step.reasons.get(name, step.reason)
        note = "" if forecast is planned else UNFORESEEN.format("line" if forecast is LINE else "repetition")
        self._recorder.kept(name, state, self.age(step, name, part), reason + note)
        return value

    def zeros(self, name: str, branches: int, like: torch.Tensor) -> torch.Tensor:
        """The value of a site whose network is off; not to be written into."""
        return like.new_zeros(()).expand(self._shape(name, branches))

    def _shape(self, name: str, branches: int) -> tuple[int, ...]:
        return (self._images * branches, *self._anatomy[name].shape[1:])

    def _error(self, step: Step, name: str, value: torch.Tensor, branches: int) -> torch.Tensor | None:
        """How far off the next kept cell's way of going on would have been here; None where it could not."""
        onward = self._plan.table[name][step.number + 1 :].lstrip(Action.COMPUTE)[0]
        planned = self._plan.forecast_of(name) if onward == Action.FORECAST else REPEAT
        forecast = self._followed(step, (name, 0), 1, planned)
        guided = value[-self._images :]
        adjust = self._adjustment(name, step.number, forecast)
        alone = self._alone(name) if branches == 1 else StoredValue.guided
        try:
            expected = self.store.expected(
                (name, 0), NeededValues(step.number, 1, guided.shape, forecast, alone, adjust)
            )
        except CalibrationRefused:  # a longer gap than any that the plan keeps a value for
            return None
        return None if expected is None else relative_l1(expected, guided)

    def _followed(self, step: Step, key: Key, branches: int, planned: ForecastRule) -> ForecastRule:
        """The forecast of a plan; where that is verified and has no weights for this past, a line through its end."""
        if self._plan.verification is None:
            return planned
        pasts = self.store.pasts(key, branches)
        if all(planned.knows(step.number, past) for past in pasts):
            return planned
        return LINE if min(len(past) for past in pasts) >= LINE.least else REPEAT

    def _adjustment(self, name: str, step: int, forecast: ForecastRule) -> Adjust | None:
        """The adjustment of a value after its forecast."""
        if (split := self._plan.split) is not None and name == UNGUIDED:
            return lambda value, _: by_frequency(value, split.low[step], split.high[step], split.radius)
        if forecast.basis == "residual":
            return partial(self._beside_input, step)
        return partial(self._adjusted, name, step) if forecast.basis == "scale_shift" else None

    def _beside_input(self, step: int, value: torch.Tensor, since: int) -> torch.Tensor:
        """A kept prediction moved as far as the input has; the first channels of an input are the latents'."""
        assert self._inputs is not None  # `uses_residuals` saw to it
        moved = (self._inputs[step] - self._inputs[since])[:, : value.shape[1]]
        return value + moved.repeat(len(value) // len(moved), 1, 1, 1)

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
        """The part of one branch in a value of two."""
        averaged = self._plan.fusion == "average" and self._anatomy[name].kind in ATTENTION
        return StoredValue.average if averaged else StoredValue.guided

    def age(self, step: Step, name: str, part: int = 0) -> int:
        """Steps since the last value was computed."""
        return step.number - self.store.newest((name, part))

    def _drift(self, name: str, value: torch.Tensor) -> torch.Tensor | None:
        before = self.store.latest((name, 0))
        return None if before is None else relative_l1(value[-self._images :], before[-self._images :])


def uses_residuals(plan: Plan) -> bool:
    """Whether the plan goes on from differences to the input."""
    return any(plan.forecast_of(site) == RESIDUAL for site, row in plan.table.items() if Action.FORECAST in row)
