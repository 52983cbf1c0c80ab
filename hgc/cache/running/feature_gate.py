"""The run-time gate by a real feature: refresh when a cheap one differs enough from that of the last full step.

HGC's paper (arXiv 2511.11031) calls its bypass dynamic and chooses by the similarity of features; which feature, which
measure and which bounds it does not say in public. Ours are:

* the feature is the cheapest one that a step has before it is decided: residual 0 of the first ControlNet, else the
  output of the UNet's first layer (after First Block Cache); both of the guided branch. Each undecided step computes
  it, and nothing else;
* the change is the mean absolute difference from that feature in the last full step, over its mean absolute value;
* hysteresis: a step is refreshed from `threshold` on; after a refreshed step, from `release` on;
* misses are bounded twice: no more than `longest` steps are kept in a row, no more than `most` are refreshed in a run.

The change is one number on the device, and the run waits for it once a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from hgc.cache.rules import Gate
from hgc.cache.running.gate import SMALLEST, Meter


@dataclass
class FeatureGate:
    """State of one run's gate; `change` is that of the last feature it was shown."""

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
            return False, f"gate: refreshed {self.fired} times, as often as the plan allows"
        if self._feature is None:
            return True, "gate: computed once first, to have something to compare with"
        if self.waited >= self.rule.longest:
            return True, f"gate: kept for {self.rule.longest} steps in a row, the longest allowed"
        self.meter.read()
        bound = self.rule.low if self._refreshing else self.rule.threshold
        passed = self.change >= bound
        again = " after a refreshed step" if self._refreshing else ""
        return passed, f"gate: feature changed by {self.change:.3f} {'≥' if passed else '<'} {bound:g}{again}"
