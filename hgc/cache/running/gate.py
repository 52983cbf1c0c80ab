"""The two run-time gates: an in-between step is computed in full after all when too much has changed since the last.

ChangeGate expects a change from how far the network's input has moved. FeatureGate looks at a feature of the step.
A gate needs its numbers on the host: it waits for the device once for each step that it decides, and for no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from hgc.cache.rules import Gate
from hgc.cache.running.meter import Meter

SMALLEST = 1e-12


@dataclass
class ChangeGate:
    """Goes by EasyCache's rule (arXiv 2507.02860, eq. 4 and 5), on whatever feature the plan keeps.

    Between two full steps the feature moved k times as far as the network's input did, both as mean absolute
    differences; each step in between adds k times its own input's move over the last feature's size. Input moves are
    known before anything is computed, so that the sum predicts the feature's change in time to act on it, ControlNet
    included. `expected` is that sum, since the feature was last computed.
    """

    rule: Gate
    meter: Meter = field(default_factory=Meter)
    waited: int = 0
    fired: int = 0
    _moved: float = 0.0  # path of the input since the last full step
    _apart: float = 0.0  # distance of the last two full steps' inputs
    _size: float = 0.0  # of the last feature
    _rate: float | None = None  # distance of the last two features for each unit of their inputs'
    _input: torch.Tensor | None = field(default=None, repr=False)
    _input_then: torch.Tensor | None = field(default=None, repr=False)  # that of the last full step
    _feature: torch.Tensor | None = field(default=None, repr=False)

    def see_input(self, sample: torch.Tensor) -> None:
        """Called once a step, before anything is computed, with the guided samples [B, C, h, w]."""
        if self._input is not None:
            self.meter.note(_distance(sample, self._input), self._input_moved)
        self._input = sample.clone()  # a solver may write into it

    def _input_moved(self, distance: float) -> None:
        self._moved += distance

    def _inputs_apart(self, distance: float) -> None:
        self._apart = distance

    def _feature_moved(self, distance: float) -> None:
        if self._apart > 0:
            self._rate = distance / self._apart

    def _feature_computed(self, size: float) -> None:
        self._size, self._moved = size, 0.0

    @property
    def rate(self) -> float | None:
        """The paper's k; None until the feature was computed twice."""
        self.meter.read()
        return self._rate

    @property
    def expected(self) -> float:
        return (self.rate or 0.0) * self._moved / max(self._size, SMALLEST)

    def decide(self) -> tuple[bool, str]:
        """Whether an in-between step must be computed in full, and why or why not."""
        self.waited += 1
        if self.rule.most is not None and self.fired >= self.rule.most:
            return False, _as_often_as_allowed(self.fired)
        fires, reason = self._judged()
        self.fired += fires
        return fires, reason

    def _judged(self) -> tuple[bool, str]:
        if self.rate is None:
            return True, "gate: computed twice first, to learn how fast it changes"
        if self.waited > self.rule.longest:
            return True, _as_long_as_allowed(self.rule)
        passed = self.expected >= self.rule.threshold
        return passed, f"gate: expected change {self.expected:.3f} {'≥' if passed else '<'} {self.rule.threshold:g}"

    def see_feature(self, feature: torch.Tensor) -> None:
        """Called at every full step with the feature that the plan keeps."""
        assert self._input is not None  # the step began with it
        if self._feature is not None and self._feature.shape == feature.shape and self._input_then is not None:
            self.meter.note(_distance(self._input, self._input_then), self._inputs_apart)
            self.meter.note(_distance(feature, self._feature), self._feature_moved)
        self.meter.note(feature.abs().mean(), self._feature_computed)
        self._feature, self.waited = feature.clone(), 0  # others may write into what they were given
        self._input_then = self._input


@dataclass
class FeatureGate:
    """Goes by a real feature: a step is refreshed when a cheap one differs enough from that of the last full step.

    HGC's paper (arXiv 2511.11031) calls its bypass dynamic and chooses by the similarity of features; which feature,
    which measure and which bounds it does not say in public. Ours are:

    * the feature is the cheapest one that a step has before it is decided: residual 0 of the first ControlNet, else the
      output of the UNet's first layer (after First Block Cache); both of the guided branch. Each undecided step
      computes it, and nothing else;
    * the change is the mean absolute difference from that feature in the last full step, over its mean absolute value:
      one number on the device, and the run waits for it once a step;
    * hysteresis: a step is refreshed from `threshold` on; after a refreshed step, from `release` on;
    * misses are bounded twice: no more than `longest` steps are kept in a row, no more than `most` are refreshed in a
      run.

    `change` is that of the last feature it was shown.
    """

    rule: Gate
    meter: Meter = field(default_factory=Meter)
    waited: int = 0
    fired: int = 0
    change: float = 0.0
    _refreshing: bool = False
    _feature: torch.Tensor | None = field(default=None, repr=False)  # that of the last full step

    @property
    def curious(self) -> bool:
        """Whether the next decision takes a look at the step's feature."""
        bounded = self.rule.most is not None and self.fired >= self.rule.most
        return self._feature is not None and self.waited < self.rule.longest and not bounded

    def see_input(self, sample: torch.Tensor) -> None:
        """Goes by no input."""

    def see_feature(self, feature: torch.Tensor) -> None:
        """Called at every full step with its feature [B, C, h, w]."""
        self._feature, self.waited = feature.clone(), 0  # others may write into what they were given

    def look(self, feature: torch.Tensor) -> None:
        """Called in a step that is to be decided, with its feature."""
        assert self._feature is not None  # it was curious
        size = self._feature.abs().mean().clamp_min(SMALLEST)
        self.meter.note((feature - self._feature).abs().mean() / size, self._changed)

    def _changed(self, change: float) -> None:
        self.change = change

    def decide(self) -> tuple[bool, str]:
        """Whether an in-between step must be computed in full, and why or why not."""
        fires, reason = self._judged()
        self.waited += 1
        self.fired += fires
        self._refreshing = fires
        return fires, reason

    def _judged(self) -> tuple[bool, str]:
        if self.rule.most is not None and self.fired >= self.rule.most:
            return False, _as_often_as_allowed(self.fired)
        if self._feature is None:
            return True, "gate: computed once first, to have something to compare with"
        if self.waited >= self.rule.longest:
            return True, _as_long_as_allowed(self.rule)
        self.meter.read()
        bound = self.rule.low if self._refreshing else self.rule.threshold
        passed = self.change >= bound
        again = " after a refreshed step" if self._refreshing else ""
        return passed, f"gate: feature changed by {self.change:.3f} {'≥' if passed else '<'} {bound:g}{again}"


def _distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference, a tensor without dimensions."""
    return (one - other).abs().mean()


def _as_often_as_allowed(fired: int) -> str:
    return f"gate: refreshed {fired} times, as often as the plan allows"


def _as_long_as_allowed(rule: Gate) -> str:
    return f"gate: kept for {rule.longest} steps in a row, the longest allowed"
